#include "daemon/fleet/node_context.h"

#include "net/file.h"

#include <chrono>

namespace p2prc::daemon {

void WebCaHolder::set(WebCa ca) {
    const std::lock_guard lock(mutex_);
    ca_ = std::move(ca);
}

Result<std::string> WebCaHolder::sign(const std::string& domain, const std::string& request) const {
    const std::lock_guard lock(mutex_);
    if (!ca_)
        return fail(ErrorCode::Conflict, "this fleet has no web CA",
                    "p2prc init --acme none, on the root, makes one");
    const auto now =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
    return ca_->sign(domain, request, now.count());
}

bool NodeContext::is_released() const {
    return !replica.store_id().empty() && !replica.get(keys::node(name()));
}

std::optional<FleetRecord> NodeContext::fleet_record() const {
    const auto* entry = replica.records().fleet();
    const auto* record = entry ? entry->accepted() : nullptr;
    return record ? std::optional(*record) : std::nullopt;
}

Result<void> NodeContext::save_settings(const FleetSettings& changed) const {
    return daemon::save_settings(settings_file(), changed);
}

Result<void> NodeContext::remove_registry_file() const {
    // SQLite's file, those beside it, and the store's note that it was closed.
    for (const char* suffix : {"", "-wal", "-shm", ".closed"})
        if (const auto removed = net::remove_file(registry_file().string() + suffix); !removed)
            return removed;
    return {};
}

} // namespace p2prc::daemon

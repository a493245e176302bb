#include "daemon/fleet/handover_file.h"

#include "net/file.h"

#include <nlohmann/json.hpp>

namespace p2prc::daemon {

namespace {

// Far above what a node's processes and domains come to.
constexpr std::size_t largest = 64 << 20;
// The file's format is older than the word.
constexpr const char* member = "luggage";

} // namespace

Result<void> HandoverFile::write(const Json& handover) const {
    Json document{{"schema", 1}, {member, handover}};
    return net::write_file_atomically(path_,
                                      document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<std::optional<Json>> HandoverFile::read() const {
    const auto text = net::read_file(path_, largest);
    if (!text && text.error().code == ErrorCode::NotFound) return std::optional<Json>();
    if (!text) return std::unexpected(text.error());
    auto document = Json::parse(*text, nullptr, false);
    if (!document.is_object() || !document.contains(member) || !document[member].is_object())
        return fail(
            ErrorCode::Failed, path_.string() + " cannot be read",
            "it holds what this node brings home from the fleet that it was leaving; move it away to go "
            "on without that");
    return std::optional<Json>(std::move(document[member]));
}

bool HandoverFile::exists() const {
    std::error_code error;
    return std::filesystem::exists(path_, error);
}

Result<void> HandoverFile::remove() const {
    return net::remove_file(path_);
}

} // namespace p2prc::daemon

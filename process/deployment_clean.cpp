// Removing what deployers have left when somebody asks for it.
#include "core/on_exit.h"
#include "process/container_unit.h"
#include "process/deploy_unit.h"
#include "process/deployment.h"
#include "process/removal_unit.h"
#include "process/unit_names.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr const char* cleaning_unit_name = "p2prcd-clean.service";
// Of one unit: a command is a line of a file, which systemd reads up to 1 MiB.
constexpr std::size_t paths_at_once = 500;

bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

// The first line that the unit has written.
std::uint64_t number_in(const net::UniqueFd& file) {
    std::array<char, 32> text{};
    const auto size = ::pread(file.get(), text.data(), text.size(), 0);
    std::uint64_t number = 0;
    if (size > 0) (void)std::from_chars(text.data(), text.data() + size, number);
    return number;
}

// It is a part of a shell's pattern and of a list.
bool is_plain(std::string_view name) {
    return !name.empty() && name.front() != '.' && std::ranges::all_of(name, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
               c == '_' || c == '.';
    });
}

} // namespace

std::vector<fs::path> Deployments::caches_of(const std::string& name) const {
    return {options_.hidden_cache / name, options_.cache / name};
}

asio::awaitable<Result<std::uint64_t>> Deployments::measure_and_remove(TransientUnit content) {
    const auto output = std::make_shared<const net::UniqueFd>(memfd_create("p2prc-clean", MFD_CLOEXEC));
    if (!*output) co_return std::unexpected(system_error("cannot make a file in memory", errno));
    content.output = output;
    const std::string unit = cleaning_unit_name;
    const auto run = co_await systemd_.start_transient(unit, std::move(content), share_);
    if (!run) co_return std::unexpected(run.error());
    // It remains until it is stopped, and one that has failed until that is forgotten.
    (void)co_await systemd_.stop(unit, share_);
    (void)co_await systemd_.reset_failed(unit);
    if (*run != "done")
        co_return fail(ErrorCode::Failed, fmt::format("not all could be removed ({})", *run),
                       fmt::format("journalctl -u {} has the reason", unit));
    co_return number_in(*output);
}

asio::awaitable<Result<Cleaned>> Deployments::clean_results(std::string name, Needed needed,
                                                            std::set<std::string> busy) {
    auto names = results_.names_on_disk();
    for (const auto& place : {options_.cache, options_.hidden_cache}) {
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator(place, ignored))
            names.insert(entry.path().filename().string());
    }
    if (!name.empty()) names = {name};
    Cleaned cleaned;
    std::vector<fs::path> gone;
    for (const auto& one : names) {
        if (!check_unit_name(deploy_unit_name(one)) || busy.contains(one)) continue;
        std::ranges::copy(caches_of(one), std::back_inserter(gone));
        const auto digests = results_.on_disk(one);
        const auto kept = needed.find(one);
        const bool all = kept == needed.end();
        if (all) std::ranges::copy(results_.paths_of(one, ""), std::back_inserter(gone));
        for (const auto& digest : digests) {
            if (!all && kept->second.contains(digest)) continue;
            // First: nobody starts with half of a result.
            results_.forget(one, digest);
            ++cleaned.results;
            if (!all) std::ranges::copy(results_.paths_of(one, digest), std::back_inserter(gone));
        }
    }
    std::erase_if(gone, [](const fs::path& path) { return !is_there(path); });
    const std::array writable{options_.root, options_.hidden_root, options_.cache, options_.hidden_cache};
    for (std::span<const fs::path> rest(gone); !rest.empty();) {
        const auto part = rest.first(std::min(rest.size(), paths_at_once));
        rest = rest.subspan(part.size());
        auto unit = cleaning_unit(part, writable);
        if (!unit) co_return std::unexpected(unit.error());
        const auto bytes = co_await measure_and_remove(std::move(*unit));
        if (!bytes) co_return std::unexpected(bytes.error());
        cleaned.bytes += *bytes;
    }
    co_return cleaned;
}

asio::awaitable<Result<std::uint64_t>> Deployments::clean_builders() {
    const auto directory = options_.root / builder_directory / builder_cache;
    if (!is_there(options_.root / builder_directory)) co_return std::uint64_t{0};
    auto kept = results_.resolved_names();
    std::erase_if(kept, [](const std::string& name) { return !is_plain(name); });
    auto unit = cache_cleaning_unit(directory, kept);
    if (!unit) co_return std::unexpected(unit.error());
    co_return co_await measure_and_remove(std::move(*unit));
}

asio::awaitable<Result<std::uint64_t>> Deployments::clean_containers() {
    const auto store = options_.root / container_store;
    if (!is_there(store)) co_return std::uint64_t{0};
    auto unit = container_cleaning_unit(store, results_.containers());
    if (!unit) co_return std::unexpected(unit.error());
    co_return co_await measure_and_remove(std::move(*unit));
}

asio::awaitable<Result<Cleaned>> Deployments::clean(std::string name, Needed needed,
                                                    std::set<std::string> busy) {
    if (cleaning_) co_return fail(ErrorCode::Conflict, "it is being cleaned already", "wait a moment");
    if (name.empty() ? !under_way_.empty() : under_way_.contains(name))
        co_return fail(ErrorCode::Conflict,
                       fmt::format("{} {} being deployed", name.empty() ? others() : name,
                                   name.empty() && under_way_.size() > 1 ? "are" : "is"),
                       "wait until that is over; p2prc info NAME shows its state");
    cleaning_ = true;
    const OnExit over([this] { cleaning_ = false; });
    auto cleaned = co_await clean_results(name, std::move(needed), std::move(busy));
    if (!cleaned || !name.empty()) co_return cleaned;
    // After the results, which may be the last to have its files.
    for (auto part : {&Deployments::clean_builders, &Deployments::clean_containers}) {
        const auto bytes = co_await (this->*part)();
        if (!bytes) co_return std::unexpected(bytes.error());
        cleaned->bytes += *bytes;
    }
    co_return cleaned;
}

} // namespace p2prc::process

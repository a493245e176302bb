#include "process/deployed.h"

#include "core/data_paths.h"
#include "core/deployer_fit.h"
#include "core/encoding.h"
#include "core/json_members.h"
#include "core/names.h"
#include "net/fd.h"
#include "net/file.h"
#include "process/unit_names.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace p2prc::process {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

constexpr std::size_t longest_note = std::size_t{256} << 10U;
constexpr std::size_t kept_results = 3;

std::string architecture() {
    utsname system{};
    return uname(&system) == 0 ? system.machine : "";
}

bool is_plain_directory(const fs::path& path) {
    std::error_code ignored;
    return fs::symlink_status(path, ignored).type() == fs::file_type::directory;
}

constexpr std::string_view no_plain_directory = "is not a directory, or is or has a link on its way";

std::unexpected<Error> refused(std::string_view what, int error) {
    const auto why = error == ENOTDIR || error == ELOOP ? std::string(no_plain_directory)
                     : error == EACCES
                         ? std::string("is closed: its directories must let others read and enter")
                         : std::string(strerrordesc_np(error));
    return fail(ErrorCode::InvalidSpec, fmt::format("{}: {} {}", deploy_result_file, what, why));
}

// Step by step, and through no link, so that it leads nowhere else, whatever is exchanged meanwhile; `path`
// has no "..". Not by openat2(2), which does that in one step: RestrictSUIDSGID= of p2prcd's own unit has it
// say ENOSYS (systemd 252, seccomp_restrict_sxid()), as a filter cannot see the mode in its argument.
Result<net::UniqueFd> open_beneath(int directory, std::string_view key, const std::string& path) {
    net::UniqueFd here(::openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (const auto& part : fs::path(path)) {
        if (!here) break;
        if (!part.empty())
            here = net::UniqueFd(
                ::openat(here.get(), part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    }
    if (!here) return refused(fmt::format("{} {}", key, path), errno);
    return here;
}

// Empty: the deployer wrote none.
Result<std::string> read_text(const net::UniqueFd& directory) {
    const std::string name(deploy_result_file);
    const net::UniqueFd file(
        ::openat(directory.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file && errno == ENOENT) return std::string();
    struct stat found{};
    if (!file || fstat(file.get(), &found) != 0)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("{} cannot be read: {}", name,
                                errno == ELOOP ? "it is a link" : strerrordesc_np(errno)));
    if (!S_ISREG(found.st_mode))
        return fail(ErrorCode::InvalidSpec, fmt::format("{} is not a plain file", name));
    std::string text(longest_deploy_result + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const auto read = ::read(file.get(), text.data() + size, text.size() - size);
        if (read < 0 && errno == EINTR) continue;
        if (read < 0) return refused("itself", errno);
        if (read == 0) break;
        size += static_cast<std::size_t>(read);
    }
    text.resize(size);
    return text;
}

// A bind mount in its place would let the process choose what is mounted: its data is its own, and PID 1
// follows a link that is on the way to what it mounts. This one is followed by the process itself.
Result<void> check_volume(const net::UniqueFd& root, std::string_view name, const std::string& volume) {
    const fs::path path(volume);
    const auto parent = open_beneath(root.get(), "VOLUME", path.parent_path().string());
    if (!parent) return std::unexpected(parent.error());
    const auto wanted = fmt::format("{}/{}", data_directory(name), volume);
    std::string target(wanted.size() + 1, '\0');
    const auto size = ::readlinkat(parent->get(), path.filename().c_str(), target.data(), target.size());
    target.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    if (target == wanted) return {};
    return fail(ErrorCode::InvalidSpec, fmt::format("{}: VOLUME {} could not be made a link to {}",
                                                    deploy_result_file, volume, wanted));
}

Result<void> check_directories(const net::UniqueFd& directory, std::string_view name,
                               const DeployResult& result) {
    const auto shown = open_beneath(directory.get(), "DIR", result.directory);
    if (!shown) return std::unexpected(shown.error());
    if (!result.root.empty()) {
        const auto root = open_beneath(directory.get(), "ROOT", result.root);
        if (!root) return std::unexpected(root.error());
        for (const auto& volume : result.volumes)
            if (auto checked = check_volume(*root, name, volume); !checked) return checked;
        return {}; // the process itself goes to its WORKDIR, within its root
    }
    const auto work = open_beneath(shown->get(), "WORKDIR", result.work_directory);
    if (!work) return std::unexpected(work.error());
    return {};
}

} // namespace

fs::path Deployed::shown() const {
    return result.directory.empty() ? directory : directory / result.directory;
}

fs::path Deployed::root() const {
    return result.root.empty() ? fs::path() : directory / result.root;
}

std::string deploy_digest(const ProcessSpec& spec, std::uint32_t deployment) {
    Json parts{spec.deploy.strategy, spec.deploy.script, architecture(), spec.run.user};
    if (deployment != 0) parts.push_back(deployment);
    const auto text = parts.dump(-1, ' ', false, Json::error_handler_t::replace);
    return to_hex(sha256(as_bytes(text)));
}

namespace {

std::unexpected<Error> unfit(std::string_view why, std::string hint) {
    return fail(ErrorCode::InvalidSpec, fmt::format("{}: {}", deploy_result_file, why), std::move(hint));
}

// Of a deployer of one's own it is known only by its result.
std::unexpected<Error> unfit(const Misfit& misfit) {
    return fail(ErrorCode::InvalidSpec, fmt::format("{} {}", misfit.key, misfit.why),
                std::string(misfit.hint));
}

} // namespace

Result<void> check_fit(const ProcessSpec& spec, const DeployResult& result) {
    if (spec.run.command.empty() && result.command.empty())
        return fail(ErrorCode::InvalidSpec, "neither the process file nor the deployer says what to run",
                    "add run.command to the file");
    if (!result.volumes.empty() && !spec.run.data)
        return unfit(
            fmt::format("VOLUME {} is kept in the process's data, and it has none", result.volumes.front()),
            "set data = true in its file");
    const auto misfit = !result.container.empty() ? misfit_in_container(spec)
                        : !result.root.empty()    ? misfit_in_root(spec)
                                                  : std::nullopt;
    if (misfit) return unfit(*misfit);
    return {};
}

ProcessRecord with_result(ProcessRecord record, const Deployed& deployed) {
    if (record.spec.run.command.empty()) record.spec.run.command = deployed.result.command;
    if (!deployed.result.root.empty()) record.spec.run.root = deployed.root().string();
    return record;
}

void add_result(TransientUnit& unit, const ProcessSpec& spec, const Deployed& deployed) {
    auto& properties = unit.properties;
    auto bound = std::ranges::find(properties, "BindReadOnlyPaths", &UnitProperty::name);
    if (bound == properties.end())
        bound = properties.insert(properties.end(), {"BindReadOnlyPaths", "a(ssbt)", Json::array()});
    bound->value.push_back(Json::array({deployed.shown().string(), shown_result, false, 0}));
    auto environment = deployed.result.environment;
    environment["DEPLOY"] = shown_result;
    auto given = std::ranges::find(properties, "Environment", &UnitProperty::name);
    if (given == properties.end())
        given = properties.insert(properties.end(), {"Environment", "as", Json::array()});
    for (const auto& [name, value] : environment)
        if (!spec.run.environment.contains(name)) given->value.push_back(name + "=" + value);
    if (deployed.result.work_directory.empty()) return;
    std::erase_if(properties, [](const UnitProperty& one) { return one.name == "WorkingDirectory"; });
    properties.push_back({"WorkingDirectory", "s",
                          deployed.result.root.empty()
                              ? fmt::format("{}/{}", shown_result, deployed.result.work_directory)
                              : fmt::format("-/{}", deployed.result.work_directory)});
}

struct DeployedResults::Note {
    std::uint32_t id = 0;
    std::string spec; // its digest
    bool hidden = false;
    bool whole = false;
    std::string text; // of the result file, which has been checked

    bool is_of(const ProcessRecord& record) const {
        return id == record.id || std::ranges::count(record.former_ids, id) > 0;
    }
};

DeployedResults::DeployedResults(fs::path root, fs::path hidden_root, fs::path notes)
    : root_(std::move(root))
    , hidden_root_(std::move(hidden_root))
    , notes_(std::move(notes)) {}

fs::path DeployedResults::directory_of(std::string_view name, std::string_view digest, bool hidden) const {
    return (hidden ? hidden_root_ : root_) / name / digest;
}

std::vector<fs::path> DeployedResults::paths_of(std::string_view name, std::string_view digest) const {
    std::vector<fs::path> paths{directory_of(name, digest, true), directory_of(name, digest, false)};
    if (!digest.empty()) {
        paths.push_back(root_ / work_of(name, digest));
        return paths;
    }
    std::error_code ignored;
    const auto mine = fmt::format("{}.", name);
    for (const auto& entry : fs::directory_iterator(root_ / builder_directory, ignored))
        // Builders may write here, what they like.
        if (const auto work = entry.path().filename().string();
            work.starts_with(mine) && is_fingerprint(std::string_view(work).substr(mine.size())))
            paths.push_back(entry.path());
    return paths;
}

std::string DeployedResults::work_of(std::string_view name, std::string_view digest) {
    return fmt::format("{}/{}.{}", builder_directory, name, digest);
}

std::optional<DeployedResults::Note> DeployedResults::read(std::string_view name,
                                                           std::string_view digest) const {
    if (!check_process_name(name) || !is_fingerprint(digest)) return std::nullopt;
    const auto text = net::read_file(notes_ / name / digest, longest_note);
    if (!text) return std::nullopt;
    const auto document = Json::parse(*text, nullptr, false);
    return Note{.id = p2prc::json::member<std::uint32_t>(document, "id"),
                .spec = p2prc::json::member<std::string>(document, "spec"),
                .hidden = p2prc::json::member<bool>(document, "hidden"),
                .whole = p2prc::json::member<bool>(document, "whole"),
                .text = p2prc::json::member<std::string>(document, "text")};
}

Result<void> DeployedResults::write(std::string_view name, std::string_view digest, const Note& note) const {
    if (const auto named = check_process_name(name); !named) return named;
    std::error_code error;
    fs::create_directories(notes_ / name, error);
    if (error) return std::unexpected(system_error("cannot make " + (notes_ / name).string(), error.value()));
    const Json document{{"id", note.id},
                        {"spec", note.spec},
                        {"hidden", note.hidden},
                        {"whole", note.whole},
                        {"text", note.text}};
    return net::write_file_atomically(notes_ / name / digest, document.dump());
}

std::optional<Deployed> DeployedResults::find(const ProcessRecord& record) const {
    // Most processes have no deployer, and each start and each run asks.
    if (record.spec.deploy.strategy.empty()) return std::nullopt;
    const auto digest = deploy_digest(record);
    const auto note = read(record.name, digest);
    if (!note || !note->whole || !note->is_of(record)) return std::nullopt;
    auto result = read_deploy_result(note->text);
    Deployed deployed{digest, directory_of(record.name, digest, note->hidden), {}};
    if (!result || !is_plain_directory(deployed.directory)) return std::nullopt;
    deployed.result = std::move(*result);
    return deployed;
}

Result<void> DeployedResults::begin(const ProcessRecord& record, bool hidden) const {
    return write(record.name, deploy_digest(record),
                 {.id = record.id, .spec = record.digest, .hidden = hidden, .whole = false, .text = {}});
}

Result<Deployed> DeployedResults::finish(const ProcessRecord& record, bool hidden, bool closed,
                                         bool as_root) const {
    const auto digest = deploy_digest(record);
    Deployed deployed{digest, directory_of(record.name, digest, hidden), {}};
    const net::UniqueFd directory(
        ::open(deployed.directory.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return std::unexpected(system_error("cannot open " + deployed.directory.string(), errno));
    auto text = read_text(directory);
    if (!text) return std::unexpected(text.error());
    auto result = read_deploy_result(*text);
    if (!result) return std::unexpected(result.error());
    for (const auto& [key, path] : {std::pair("DIR", &result->directory), std::pair("ROOT", &result->root)})
        if (!closed && !path->empty())
            return fail(
                ErrorCode::InvalidSpec,
                fmt::format("{}: {} is not for a process with run.user", deploy_result_file, key),
                fmt::format("that user could exchange the directory later; leave {} or run.user out", key));
    // A container runs as root, and podman is asked for whatever image it has.
    if (!as_root && !result->container.empty())
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("{}: CONTAINER is for deployers that run as root", deploy_result_file),
                    "the deployer 'container' does; so does another one with as = \"root\" in its settings");
    if (const auto fits = check_fit(record.spec, *result); !fits) return std::unexpected(fits.error());
    if (const auto checked = check_directories(directory, record.name, *result); !checked)
        return std::unexpected(checked.error());
    deployed.result = std::move(*result);
    const Note note{.id = record.id, .spec = record.digest, .hidden = hidden, .whole = true, .text = *text};
    if (const auto written = write(record.name, digest, note); !written)
        return std::unexpected(written.error());
    return deployed;
}

void DeployedResults::forget(std::string_view name, std::string_view digest) const {
    if (!check_process_name(name)) return;
    std::error_code ignored;
    if (digest.empty()) fs::remove_all(notes_ / name, ignored);
    if (!is_fingerprint(digest)) return;
    fs::remove(notes_ / name / digest, ignored);
    fs::remove(notes_ / name, ignored); // where it was the last one
}

std::vector<std::pair<fs::file_time_type, std::string>>
DeployedResults::digests(std::string_view name) const {
    std::vector<std::pair<fs::file_time_type, std::string>> found;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(notes_ / name, ignored))
        if (auto digest = entry.path().filename().string(); is_fingerprint(digest))
            found.emplace_back(entry.last_write_time(ignored), std::move(digest));
    std::ranges::sort(found, std::ranges::greater());
    return found;
}

std::optional<DeployedResults::Previous> DeployedResults::previous(const ProcessRecord& record) const {
    const auto own = deploy_digest(record);
    for (const auto& [time, digest] : digests(record.name)) {
        const auto note = digest == own ? std::nullopt : read(record.name, digest);
        if (!note || !note->whole || !note->is_of(record)) continue;
        auto directory = directory_of(record.name, digest, note->hidden);
        if (is_plain_directory(directory)) return Previous{std::move(directory), note->spec};
    }
    return std::nullopt;
}

std::string DeployedResults::resolved(const ProcessRecord& record) const {
    const auto note = read(record.name, deploy_digest(record));
    if (!note || !note->is_of(record)) return {};
    const auto result = read_deploy_result(note->text);
    return result ? result->resolved : std::string();
}

std::vector<std::string> DeployedResults::names() const {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(notes_, ignored))
        if (auto name = entry.path().filename().string(); check_process_name(name))
            names.push_back(std::move(name));
    return names;
}

std::set<std::string> DeployedResults::names_on_disk() const {
    std::set<std::string> names;
    std::error_code ignored;
    for (const auto& place : {notes_, root_, hidden_root_})
        for (const auto& entry : fs::directory_iterator(place, ignored))
            if (auto name = entry.path().filename().string(); check_process_name(name))
                names.insert(std::move(name));
    return names;
}

std::set<std::string> DeployedResults::on_disk(std::string_view name) const {
    std::set<std::string> digests;
    std::error_code ignored;
    const auto take = [&digests](std::string_view digest) {
        if (is_fingerprint(digest)) digests.emplace(digest);
    };
    for (const auto& place : {notes_, root_, hidden_root_})
        for (const auto& entry : fs::directory_iterator(place / name, ignored))
            take(entry.path().filename().string());
    const auto mine = fmt::format("{}.", name);
    for (const auto& entry : fs::directory_iterator(root_ / builder_directory, ignored))
        if (const auto work = entry.path().filename().string(); work.starts_with(mine))
            take(std::string_view(work).substr(mine.size()));
    return digests;
}

std::vector<DeployResult> DeployedResults::whole(std::string_view name) const {
    std::vector<DeployResult> found;
    for (const auto& [time, digest] : digests(name)) {
        const auto note = read(name, digest);
        if (!note || !note->whole) continue;
        if (auto result = read_deploy_result(note->text)) found.push_back(std::move(*result));
    }
    return found;
}

std::set<std::string> DeployedResults::resolved_names() const {
    std::set<std::string> found;
    for (const auto& name : names())
        for (const auto& result : whole(name)) {
            const auto colon = result.resolved.rfind(':');
            if (colon != std::string::npos) found.insert(result.resolved.substr(colon + 1));
        }
    return found;
}

std::set<std::string> DeployedResults::containers(std::string_view name) const {
    std::set<std::string> found;
    for (const auto& one : name.empty() ? names() : std::vector{std::string(name)})
        for (auto& result : whole(one))
            if (!result.container.empty()) found.insert(std::move(result.container));
    return found;
}

std::vector<std::string> DeployedResults::unfinished(std::string_view name) const {
    std::vector<std::string> list;
    for (auto& [time, digest] : digests(name))
        if (const auto note = read(name, digest); !note || !note->whole) list.push_back(std::move(digest));
    return list;
}

std::vector<std::string> DeployedResults::outdated(std::string_view name,
                                                   const std::set<std::string>& needed) const {
    std::vector<std::string> list;
    std::size_t kept = 0;
    for (auto& [time, digest] : digests(name))
        if (!needed.contains(digest) && kept++ >= kept_results - 1) list.push_back(std::move(digest));
    return list;
}

} // namespace p2prc::process

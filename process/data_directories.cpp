#include "process/data_directories.h"

#include "core/names.h"
#include "net/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <system_error>

namespace p2prc::process {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t note_limit = 4096;
constexpr std::size_t digest_length = 64; // SHA-256 in hexadecimal

bool is_entry(const fs::path& path) {
    std::error_code ignored;
    return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

Result<void> checked(std::string what, const std::error_code& error) {
    if (error) return std::unexpected(system_error(std::move(what), error.value()));
    return {};
}

// No process has such a name.
std::string copying_name(std::string_view name) {
    return fmt::format("{}.copying", name);
}
std::string before_name(std::string_view name) {
    return fmt::format("{}.before", name);
}

// Of a directory that is there, and no link to one.
std::uint64_t inode_of(const fs::path& directory) {
    struct stat found{};
    return lstat(directory.c_str(), &found) == 0 && S_ISDIR(found.st_mode) ? found.st_ino : 0;
}

Result<void> write_text(const fs::path& note, const std::string& text) {
    std::error_code error;
    fs::create_directories(note.parent_path(), error);
    if (error) return checked(fmt::format("cannot make {}", note.parent_path().string()), error);
    return net::write_file_atomically(note, text);
}

int exchange_directories(const fs::path& one, const fs::path& other) {
    return renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0 ? 0 : errno;
}

// proc(5), /proc/pid/mountinfo: "ID PARENT MAJOR:MINOR ROOT MOUNT OPTIONS [FIELD...] - TYPE SOURCE ...".
std::string file_system_of(const fs::path& path) {
    std::string unknown = "an unknown file system";
    struct stat found{};
    if (stat(path.c_str(), &found) != 0) return unknown;
    const auto device = fmt::format("{}:{}", major(found.st_dev), minor(found.st_dev));
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream words(line);
        std::string id, parent, of, word, type;
        words >> id >> parent >> of;
        if (of != device) continue;
        while (words >> word && word != "-") {
        }
        if (words >> type) return type;
    }
    return unknown;
}

constexpr std::string_view remote_word = " remote";

// "7 0f3a...", "7 0f3a... remote": the id, the digest, and whose it was first. The first version wrote the id
// alone.
std::optional<DataNote> parse_note(std::string_view text) {
    while (text.ends_with('\n'))
        text.remove_suffix(1);
    DataNote note;
    note.remote = text.ends_with(remote_word);
    if (note.remote) text.remove_suffix(remote_word.size());
    const auto* end = text.data() + text.size();
    const auto id = std::from_chars(text.data(), end, note.id);
    if (id.ec != std::errc{} || note.id == 0) return {};
    if (id.ptr == end) return note;
    if (*id.ptr != ' ') return {};
    note.digest.assign(id.ptr + 1, end);
    const auto hexadecimal = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (note.digest.size() != digest_length || !std::ranges::all_of(note.digest, hexadecimal)) return {};
    return note;
}

// Ids that it had before are the root's word; they count for the specification that was noted, and, where an
// earlier version noted none, for what a user of this node asked for.
bool had_id(const ProcessRecord& record, const DataNote& note, const std::string& digest, Origin origin) {
    if (std::ranges::count(record.former_ids, note.id) == 0) return false;
    return note.digest == digest || (note.digest.empty() && origin == Origin::Local);
}

} // namespace

DataDirectories::DataDirectories(fs::path root, fs::path private_root, fs::path notes, Exchange exchange)
    : root_(std::move(root))
    , private_root_(std::move(private_root))
    , notes_(std::move(notes))
    , exchange_(exchange ? std::move(exchange) : Exchange(exchange_directories)) {}

bool DataDirectories::is_there(std::string_view name) const {
    return is_entry(root_ / name) || is_entry(private_root_ / name);
}

bool DataDirectories::is_in_place(std::string_view name) const {
    return is_entry(root_ / name);
}

std::string DataDirectories::owned_directory(std::string_view name) const {
    if (!check_process_name(name)) return {};
    struct stat found{};
    for (const auto& path : {private_root_ / name, root_ / name})
        if (lstat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode))
            return found.st_uid == 0 ? std::string() : path.string();
    return {};
}

Result<std::optional<DataNote>> DataDirectories::note(std::string_view name) const {
    if (const auto named = check_process_name(name); !named) return std::unexpected(named.error());
    const auto path = notes_ / name;
    const auto text = net::read_file(path, note_limit);
    if (!text && text.error().code == ErrorCode::NotFound) return std::optional<DataNote>();
    auto parsed = text ? parse_note(*text) : std::nullopt;
    if (parsed) return parsed;
    return fail(
        ErrorCode::Failed,
        fmt::format("the note of whose data lies in {} cannot be read: {}", (root_ / name).string(),
                    text ? fmt::format("{} is empty or damaged", path.string()) : text.error().message),
        fmt::format("write the id of its process into {}, or remove that to let this process have the data",
                    path.string()));
}

Result<void> DataDirectories::write_note(std::string_view name, const DataNote& note) const {
    return write_text(notes_ / name,
                      fmt::format("{} {}{}\n", note.id, note.digest, note.remote ? remote_word : ""));
}

Result<std::string> DataDirectories::prepare(const ProcessRecord& record, Origin origin,
                                             RemoteSpin policy) const {
    const auto& name = record.name;
    const auto noted = note(name);
    if (!noted) return std::unexpected(noted.error());
    DataNote mine{record.id, spec_digest(record.spec), origin == Origin::Remote};
    std::string moved;
    if (is_there(name)) {
        const auto holder = noted->value_or(DataNote{});
        const bool revised =
            *noted && holder.id == mine.id && !holder.digest.empty() && holder.digest != mine.digest;
        if (revised && origin == Origin::Remote && !holder.remote && policy != RemoteSpin::Any)
            return fail(
                ErrorCode::Conflict,
                fmt::format("the data in {} is of process {}, which was spun on this machine with "
                            "another process file, and this one was not",
                            (root_ / name).string(), holder.id),
                fmt::format("spin the changed file on this machine, or remove {}", (notes_ / name).string()));
        const bool its_own = *noted && (holder.id == mine.id || had_id(record, holder, mine.digest, origin));
        const bool adopted = !*noted && origin == Origin::Local;
        if (!its_own && !adopted) {
            auto aside = move_aside(name, holder.id);
            if (!aside) return aside;
            moved = std::move(*aside);
        } else if (its_own) {
            mine.remote = holder.remote;
        }
    }
    if (*noted != mine)
        if (const auto written = write_note(name, mine); !written) return std::unexpected(written.error());
    return moved;
}

Result<std::string> DataDirectories::move_aside(std::string_view name, std::uint32_t holder) const {
    const auto base = fmt::format("{}.{}", name, holder);
    auto aside = base;
    for (int n = 2; is_there(aside); ++n)
        aside = fmt::format("{}-{}", base, n);
    if (const auto moved = move(name, aside); !moved) return std::unexpected(moved.error());
    if (const auto before = before_name(name); is_there(before))
        if (const auto moved = move(before, before_name(aside)); !moved)
            return std::unexpected(moved.error());
    return (root_ / aside).string();
}

// The directory, and systemd's link to one of a dynamic user.
Result<void> DataDirectories::move(std::string_view from, std::string_view to) const {
    const auto here = root_ / from;
    const auto hidden = private_root_ / from;
    std::error_code error;
    if (is_entry(hidden)) fs::rename(hidden, private_root_ / to, error);
    if (!error && fs::is_symlink(fs::symlink_status(here, error))) {
        // Relative as systemd makes it.
        const auto target = fs::read_symlink(here, error).parent_path() / to;
        if (!error) fs::remove(here, error);
        if (!error) fs::create_symlink(target, root_ / to, error);
    } else if (!error && is_entry(here)) {
        fs::rename(here, root_ / to, error);
    }
    return checked(fmt::format("cannot move {} to {}", here.string(), to), error);
}

// Where its directory itself is.
fs::path DataDirectories::base_of(std::string_view name) const {
    return is_entry(private_root_ / name) ? private_root_ : root_;
}

// That was left by a move which was cut off.
void DataDirectories::forget_link(std::string_view name) const {
    std::error_code ignored;
    if (fs::is_symlink(fs::symlink_status(root_ / name, ignored)) && !is_entry(private_root_ / name))
        fs::remove(root_ / name, ignored);
}

// "INODE ID REVISION"; empty: there is none.
std::string DataDirectories::copy_note(std::string_view name) const {
    return net::read_file(notes_ / before_name(name), note_limit).value_or("");
}

Result<void> DataDirectories::begin_copy(std::string_view name) const {
    if (const auto named = check_process_name(name); !named) return named;
    // The directory stays, as p2prcd may not remove what is in it.
    const auto copying = copying_name(name);
    const auto before = before_name(name);
    forget_link(copying);
    forget_link(before);
    if (!is_there(before)) return {};
    if (is_there(copying))
        return fail(ErrorCode::Conflict,
                    fmt::format("there are both {} and {}", (root_ / before).string(), copying),
                    "remove one of them");
    if (auto forgotten = net::remove_file(notes_ / before); !forgotten) return forgotten;
    return move(before, copying);
}

Result<void> DataDirectories::finish_copy(std::string_view name, const DataCopyNote& note) const {
    if (const auto named = check_process_name(name); !named) return named;
    const auto copying = copying_name(name);
    const auto before = before_name(name);
    const auto base = base_of(copying);
    const auto inode = inode_of(base / copying);
    if (inode == 0)
        return fail(ErrorCode::Failed, fmt::format("there is no directory {}", (root_ / copying).string()));
    if (auto moved = move(copying, before); !moved) return moved;
    if (auto synced = net::sync_directory(base); !synced) return synced;
    return write_text(notes_ / before, fmt::format("{} {} {}\n", inode, note.id, note.revision));
}

bool DataDirectories::has_copy(std::string_view name, const DataCopyNote& note) const {
    if (!check_process_name(name)) return false;
    const auto before = before_name(name);
    const auto inode = inode_of(base_of(before) / before);
    return inode != 0 && copy_note(name) == fmt::format("{} {} {}\n", inode, note.id, note.revision);
}

Result<void> DataDirectories::put_back(std::string_view name) const {
    if (const auto named = check_process_name(name); !named) return named;
    const auto before = before_name(name);
    const auto note = copy_note(name);
    std::uint64_t copy = 0;
    std::from_chars(note.data(), note.data() + note.size(), copy);
    const auto base = base_of(name);
    if (copy != 0 && inode_of(base / name) == copy) return {}; // an earlier p2prcd has done it
    if (copy == 0 || inode_of(base / before) != copy)
        return fail(ErrorCode::Failed,
                    fmt::format("{} is not the copy that was made", (base / before).string()));
    if (const auto error = exchange_(base / name, base / before); error != 0)
        return std::unexpected(system_error(fmt::format("cannot exchange {} and {}", name, before), error));
    return net::sync_directory(base);
}

Result<void> DataDirectories::check_exchange() const {
    for (const auto& base : {root_, private_root_}) {
        if (!is_entry(base)) continue; // nothing has had data there yet
        // No process has such a name. The kernel asks the file system only about what is there.
        const auto one = base / ".exchange.1", other = base / ".exchange.2";
        std::error_code error;
        fs::create_directory(one, error);
        if (!error) fs::create_directory(other, error);
        const auto refused = error ? 0 : exchange_(one, other);
        std::error_code ignored;
        fs::remove(one, ignored);
        fs::remove(other, ignored);
        if (error) return checked(fmt::format("cannot make a directory in {}", base.string()), error);
        if (refused == EINVAL || refused == EXDEV || refused == ENOSYS || refused == EOPNOTSUPP)
            return fail(ErrorCode::NotSupported,
                        fmt::format("the file system of {} ({}) cannot exchange two directories, which "
                                    "update.snapshot needs to put the data back",
                                    base.string(), file_system_of(base)),
                        "leave update.snapshot out, or keep the data on another file system, such as ext4");
        if (refused != 0)
            return std::unexpected(
                system_error(fmt::format("cannot exchange directories in {}", base.string()), refused));
    }
    return {};
}

std::set<std::string> DataDirectories::unfinished_copies() const {
    const auto suffix = copying_name("");
    std::set<std::string> names;
    for (const auto& base : {root_, private_root_}) {
        std::error_code error;
        for (fs::directory_iterator at(base, error), end; !error && at != end; at.increment(error)) {
            auto name = at->path().filename().string();
            if (!name.ends_with(suffix)) continue;
            name.resize(name.size() - suffix.size());
            if (check_process_name(name)) names.insert(std::move(name));
        }
    }
    return names;
}

std::vector<fs::path> DataDirectories::unfinished_copy(std::string_view name) const {
    return {private_root_ / copying_name(name), root_ / copying_name(name)};
}

Result<void> DataDirectories::rename(const ProcessRecord& record) const {
    const auto noted = note(record.name);
    if (!noted) return std::unexpected(noted.error());
    const DataNote mine{record.id, spec_digest(record.spec), *noted && (*noted)->remote};
    const bool others = *noted && !(*noted)->digest.empty() && (*noted)->digest != mine.digest;
    if (others || *noted == mine) return {};
    return write_note(record.name, mine);
}

} // namespace p2prc::process

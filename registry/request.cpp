#include "registry/request.h"

#include "core/encoding.h"
#include "core/json_members.h"
#include "core/text.h"
#include "net/clock.h"
#include "registry/maker.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <cerrno>
#include <chrono>

namespace p2prc::registry {

std::string user_of(std::string_view by) {
    std::string user(by.substr(0, by.find('@')).substr(0, 64));
    std::erase_if(user, [](char c) {
        return !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' &&
               c != '_' && c != '.';
    });
    return user.empty() ? "unknown" : user;
}

std::string Request::by() const {
    const auto user = actor.user.empty() ? json::member<std::string>(params, "by") : actor.user;
    return fmt::format("{}@{}", user_of(user), actor.node);
}

std::string Request::at() const {
    return net::to_rfc3339(std::chrono::system_clock::time_point(std::chrono::seconds(now)));
}

bool Request::is_owner() const {
    const auto self = draft.node(actor.node);
    return actor.role == Role::Owner && self && self->role == Role::Owner;
}

bool Request::may_change(const ProcessRecord& process) const {
    return is_owner() || process.node == actor.node ||
           rules::is_maker(draft, actor.node, process.created_by, process.unknown);
}

bool Request::may_change(const DomainRecord& mapping) const {
    return is_owner() || mapping.node == actor.node ||
           rules::is_maker(draft, actor.node, mapping.created_by, mapping.unknown);
}

namespace {

constexpr std::size_t longest_text = 512;
constexpr std::size_t longest_pem = 16 * 1024;

Result<std::string> limited_text(const Request& request, const char* key, std::size_t longest) {
    const auto it = request.params.find(key);
    if (it == request.params.end() || it->is_null()) return std::string();
    if (!it->is_string()) return fail(ErrorCode::InvalidSpec, fmt::format("'{}' is not a text", key));
    const auto& value = it->get_ref<const std::string&>();
    if (value.size() > longest)
        return fail(ErrorCode::InvalidSpec, fmt::format("'{}' is too long: it has {} bytes, and may have {}",
                                                        key, value.size(), longest));
    return value;
}

std::unexpected<Error> missing(const char* key) {
    return fail(ErrorCode::InvalidSpec, fmt::format("'{}' is missing", key));
}

} // namespace

Result<std::string> optional_text(const Request& request, const char* key) {
    auto value = limited_text(request, key, longest_text);
    if (value && (!text::fits_bus(*value) || text::has_controls(*value)))
        return fail(ErrorCode::InvalidSpec, fmt::format("'{}' has characters that do not belong there: '{}'",
                                                        key, text::excerpt(*value)));
    return value;
}

Result<std::string> text_param(const Request& request, const char* key) {
    auto value = optional_text(request, key);
    if (value && value->empty()) return missing(key);
    return value;
}

Result<std::string> pem_param(const Request& request, const char* key) {
    auto value = limited_text(request, key, longest_pem);
    if (value && value->empty()) return missing(key);
    return value;
}

Result<std::string> random_hex(std::size_t bytes) {
    Bytes random(bytes);
    if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
        return std::unexpected(system_error("cannot get random bytes", errno));
    return to_hex(random);
}

} // namespace p2prc::registry

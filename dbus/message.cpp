#include "dbus/message.h"

#include "core/text.h"
#include "dbus/limits.h"

#include <systemd/sd-bus.h>

#include <array>
#include <utility>

namespace p2prc::dbus {

namespace {

constexpr std::string_view before_hint = "\nhint: ";
// Each of its two parts. The reason of a failed start comes with the last lines of a log.
constexpr std::size_t longest_error = std::size_t{64} << 10U;

std::string text(const char* value) {
    return value ? value : "";
}

struct StandardError {
    std::string_view name;
    ErrorCode code;
};

// What the bus itself and sd-bus answer, by sense.
constexpr std::array standard_errors{
    StandardError{"org.freedesktop.DBus.Error.ServiceUnknown", ErrorCode::Unreachable},
    StandardError{"org.freedesktop.DBus.Error.NameHasNoOwner", ErrorCode::Unreachable},
    StandardError{"org.freedesktop.DBus.Error.NoReply", ErrorCode::Unreachable},
    StandardError{"org.freedesktop.DBus.Error.Timeout", ErrorCode::Unreachable},
    StandardError{"org.freedesktop.DBus.Error.TimedOut", ErrorCode::Unreachable},
    StandardError{"org.freedesktop.DBus.Error.Disconnected", ErrorCode::Unreachable},
    StandardError{"org.freedesktop.DBus.Error.NoServer", ErrorCode::Unreachable},
    StandardError{"org.freedesktop.DBus.Error.AccessDenied", ErrorCode::NotPermitted},
    StandardError{"org.freedesktop.DBus.Error.AuthFailed", ErrorCode::NotPermitted},
    StandardError{"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", ErrorCode::NotPermitted},
    StandardError{"org.freedesktop.DBus.Error.InvalidArgs", ErrorCode::InvalidSpec},
    StandardError{"org.freedesktop.DBus.Error.InvalidSignature", ErrorCode::InvalidSpec},
    StandardError{"org.freedesktop.DBus.Error.UnknownObject", ErrorCode::NotFound},
    StandardError{"org.freedesktop.DBus.Error.UnknownMethod", ErrorCode::NotSupported},
    StandardError{"org.freedesktop.DBus.Error.UnknownInterface", ErrorCode::NotSupported},
    StandardError{"org.freedesktop.DBus.Error.UnknownProperty", ErrorCode::NotSupported},
};

} // namespace

Message Message::adopt(sd_bus_message* message) noexcept {
    return Message(message);
}

Message Message::share(sd_bus_message* message) noexcept {
    return Message(sd_bus_message_ref(message));
}

Message::Message(const Message& other) noexcept
    : message_(sd_bus_message_ref(other.message_))
    , size_(other.size_) {}

Message::Message(Message&& other) noexcept
    : message_(std::exchange(other.message_, nullptr))
    , size_(other.size_) {}

Message& Message::operator=(Message other) noexcept {
    std::swap(message_, other.message_);
    std::swap(size_, other.size_);
    return *this;
}

Message::~Message() {
    sd_bus_message_unref(message_);
}

std::string Message::sender() const {
    return text(sd_bus_message_get_sender(message_));
}
std::string Message::path() const {
    return text(sd_bus_message_get_path(message_));
}
std::string Message::interface() const {
    return text(sd_bus_message_get_interface(message_));
}
std::string Message::member() const {
    return text(sd_bus_message_get_member(message_));
}
std::string Message::signature() const {
    return text(sd_bus_message_get_signature(message_, 1));
}

bool Message::is_error() const noexcept {
    return message_ && sd_bus_message_is_method_error(message_, nullptr) > 0;
}

std::string Message::error_name() const {
    const sd_bus_error* error = is_error() ? sd_bus_message_get_error(message_) : nullptr;
    return error ? text(error->name) : "";
}

std::string Message::error_message() const {
    const sd_bus_error* error = is_error() ? sd_bus_message_get_error(message_) : nullptr;
    return error ? text(error->message) : "";
}

Error Message::to_error() const {
    const std::string name = error_name();
    Error error{ErrorCode::Failed, error_message()};
    if (error.message.empty()) error.message = name;
    if (name.starts_with(error_dbus_prefix)) {
        error.code = error_code_from_name(name);
        if (const auto at = error.message.rfind(before_hint); at != std::string::npos) {
            error.hint = error.message.substr(at + before_hint.size());
            error.message.resize(at);
        }
        return error;
    }
    for (const StandardError& row : standard_errors)
        if (row.name == name) error.code = row.code;
    return error;
}

void Message::rewind() noexcept {
    sd_bus_message_rewind(message_, 1);
}

std::size_t Message::grow(std::size_t alignment, std::size_t bytes) const noexcept {
    size_ = (size_ + alignment - 1) / alignment * alignment + bytes;
    return size_;
}

Error too_large() {
    return {ErrorCode::Failed,
            "the message would have more than the " + std::to_string(largest_message >> 20U) +
                " MiB that the message bus carries",
            "ask for one object at a time"};
}

Result<Message> Message::new_reply() const {
    sd_bus_message* reply = nullptr;
    const int r = sd_bus_message_new_method_return(message_, &reply);
    if (r < 0) return std::unexpected(bus_error("making a D-Bus reply", r));
    return adopt(reply);
}

Result<Message> Message::new_error(const Error& error) const {
    sd_bus_message* reply = nullptr;
    const std::string name = std::string(error_dbus_prefix) + std::string(error_info(error.code).name);
    const int r =
        sd_bus_message_new_method_errorf(message_, &reply, name.c_str(), "%s", error_text(error).c_str());
    if (r < 0) return std::unexpected(bus_error("making a D-Bus error", r));
    return adopt(reply);
}

std::string error_text(const Error& error) {
    const auto fit = [](const std::string& text) {
        const auto kept = text::cut(text, longest_error);
        return text::for_bus(kept) + (kept.size() < text.size() ? "..." : "");
    };
    std::string result = fit(error.message);
    if (!error.hint.empty()) result.append(before_hint) += fit(error.hint);
    return result;
}

Error bus_error(std::string what, int negative_errno) {
    Error error = system_error(std::move(what), -negative_errno);
    switch (-negative_errno) {
    case ECONNRESET:
    case ENOTCONN:
    case ECONNREFUSED:
    case EPIPE:
    case ESHUTDOWN:
    case ENOENT: // the bus's socket is not there
    case ETIMEDOUT:
        error.code = ErrorCode::Unreachable;
        break;
    default:
        break;
    }
    return error;
}

} // namespace p2prc::dbus

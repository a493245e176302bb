// A D-Bus message that is unreferenced by itself, and the mapping between D-Bus errors and ours.
#pragma once

#include "core/error.h"

#include <cstddef>
#include <string>
#include <string_view>

struct sd_bus_message;

namespace p2prc::dbus {

// Shares one sd_bus_message. Contents are written and read with the sd_bus_message_* functions on get(), or
// with dbus/codec.h. Belongs to the thread of its bus.
class Message {
  public:
    Message() noexcept = default;
    // Takes over the caller's reference.
    static Message adopt(sd_bus_message* message) noexcept;
    // Adds a reference.
    static Message share(sd_bus_message* message) noexcept;
    Message(const Message& other) noexcept;
    Message(Message&& other) noexcept;
    Message& operator=(Message other) noexcept;
    ~Message();

    sd_bus_message* get() const noexcept { return message_; }
    explicit operator bool() const noexcept { return message_ != nullptr; }

    // Header fields; empty where there is none.
    std::string sender() const;
    std::string path() const;
    std::string interface() const;
    std::string member() const;
    std::string signature() const;

    // An error reply, with its D-Bus name ("org.freedesktop.systemd1.NoSuchUnit") and text.
    bool is_error() const noexcept;
    std::string error_name() const;
    std::string error_message() const;
    // The error reply as ours: names under org.p2prc1.Error. by the table of core, the bus's own by their
    // sense (nobody answers: Unreachable, refused: NotPermitted, ...), all others Failed. Those of
    // ours are split into message and hint again.
    Error to_error() const;

    // Reads from the beginning again.
    void rewind() noexcept;

    // Counts what is appended to the body: `bytes` at the next multiple of `alignment`. Returns its size with
    // them. sd-bus does not tell it.
    std::size_t grow(std::size_t alignment, std::size_t bytes) const noexcept;

    // An empty reply to this call.
    Result<Message> new_reply() const;
    // An error reply to this call, with error_text.
    Result<Message> new_error(const Error& error) const;

  private:
    explicit Message(sd_bus_message* message) noexcept : message_(message) {}
    sd_bus_message* message_ = nullptr;
    mutable std::size_t size_ = 0;
};

// What is said instead of a message that would be larger than largest_message.
Error too_large();

// Message and hint as the one string of an error reply: "MESSAGE\nhint: HINT", or the message alone. One, as
// GLib drops the text of an error whose body is anything but a single string (g_dbus_message_to_gerror).
std::string error_text(const Error& error);

// An Error for a negative return value of an sd-bus function.
Error bus_error(std::string what, int negative_errno);

} // namespace p2prc::dbus

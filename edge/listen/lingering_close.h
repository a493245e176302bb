// Closes a connection after a last message, so that the message arrives (lingering close, RFC 9112
// section 9.6).
#pragma once

#include "edge/listen/connection.h"
#include "tunnel/poller.h"

#include <cstddef>
#include <memory>
#include <string_view>

namespace p2prc::edge {

// close(2) with unread bytes sends a reset, and the peer may then discard the message. So this sends the
// message and a FIN, and reads and discards until the peer's FIN, within a bounded time and number of bytes.
class LingeringClose {
  public:
    explicit LingeringClose(tunnel::Poller& poller);
    ~LingeringClose();

    void close(Connection connection, std::string_view message);

    std::size_t size() const noexcept;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// A fatal TLS alert (RFC 8446 section 6) in one record, for a peer to which nothing has been sent yet.
enum class TlsAlert : unsigned char {
    IllegalParameter = 47,
    DecodeError = 50,
    InternalError = 80,
    UnrecognizedName = 112, // RFC 6066 section 3
};
std::string_view tls_alert(TlsAlert alert) noexcept;

} // namespace p2prc::edge

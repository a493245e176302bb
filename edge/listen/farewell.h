// Last words to a connection that goes no further: said, then FIN, then what still comes is thrown away.
#pragma once

#include "edge/listen/connection.h"
#include "tunnel/poller.h"

#include <cstddef>
#include <memory>
#include <string_view>

namespace p2prc::edge {

// close(2) with unread bytes sends a reset, which may overtake the words: so it reads until the peer's FIN,
// for a little while and a bounded number of bytes.
class Farewells {
  public:
    explicit Farewells(tunnel::Poller& poller);
    ~Farewells();

    void say(Connection connection, std::string_view words);

    std::size_t size() const noexcept;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// A fatal TLS alert (RFC 8446 section 6) in one record, for a peer that has seen nothing of ours yet.
enum class TlsAlert : unsigned char {
    IllegalParameter = 47,
    DecodeError = 50,
    InternalError = 80,
    UnrecognizedName = 112, // RFC 6066 section 3
};
std::string_view tls_alert(TlsAlert alert) noexcept;

} // namespace p2prc::edge

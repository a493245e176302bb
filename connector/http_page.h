// Builds the error page for clients of an application that is not available, from the bytes of their request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc::connector {

// Why a client is not served.
enum class Trouble : std::uint8_t {
    Starting, // it is on its way, and took longer than clients are held
    Stopped,
    Failed,
    NoAnswer, // it runs, and does not take connections
};

struct Page {
    Trouble trouble = Trouble::NoAnswer;
    std::string domain; // what the page calls it; empty: "This service"
};

// The answer to `received`, the first bytes of a client: nothing while the request's head is incomplete, an
// empty text if it is not an HTTP/1.x request, otherwise a whole response: 502 for NoAnswer, 503 for the
// others. A page for whoever accepts HTML, an object for whoever accepts JSON, a line of text for all others.
// It names neither machines nor processes, and repeats nothing of the request.
std::optional<std::string> error_page(std::string_view received, const Page& page);

} // namespace p2prc::connector

// The page for visitors of an application that is not there, as a function of what they have said.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace p2prc::connector {

// What is answered to `received`, the beginning of what a client says: nothing while its request's head is
// not whole, the empty text when that is no HTTP/1.x request, otherwise a whole response with `status`, 502
// or 503. It names neither machines nor processes.
std::optional<std::string> error_page(std::string_view received, int status);

} // namespace p2prc::connector

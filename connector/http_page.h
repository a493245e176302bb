// Builds the error page for clients of an application that is not available, from the bytes of their request.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace p2prc::connector {

// The answer to `received`, the first bytes of a client: nothing while the request's head is incomplete, an
// empty text if it is not an HTTP/1.x request, otherwise a whole response with `status`, 502 or 503. The page
// names neither machines nor processes.
std::optional<std::string> error_page(std::string_view received, int status);

} // namespace p2prc::connector

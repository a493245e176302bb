// The edge's own answers to HTTP requests: a redirect to https, or a refusal in a line of text.
#pragma once

#include "edge/http/request.h"

#include <string>
#include <string_view>

namespace p2prc::edge {

// 308 (RFC 9110 section 15.4.9: the method stays) to the same host and path by https. `port` is written
// unless it is empty or 443.
std::string https_redirect(const HttpRequest& request, std::string_view port);

// `status` is one that HttpHeadReader refuses with, or 404 or 421. To a HEAD request no body is sent.
std::string plain_response(int status, std::string_view text, bool head = false);
std::string plain_response(int status);

// RFC 8555 section 8.3: where a certificate authority asks for HTTP-01.
bool is_acme_challenge(std::string_view path) noexcept;

} // namespace p2prc::edge

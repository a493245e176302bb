// Serves the error page for clients of an application that is not available, over the TLS terminated here.
#pragma once

#include "connector/http_page.h"
#include "net/fd.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>

namespace p2prc::connector {

struct ErrorPageOptions {
    std::chrono::milliseconds timeout{10000}; // to send the request, and then its rest
    std::size_t longest_head = std::size_t{16} << 10;
    std::size_t most_drained = std::size_t{256} << 10;
};

// Answers the client at the other end of `socket`, a Unix stream socket, and closes. Whoever does not speak
// HTTP gets no answer, and the same end.
boost::asio::awaitable<void> serve_error_page(net::UniqueFd socket, Page page, ErrorPageOptions options = {});

} // namespace p2prc::connector

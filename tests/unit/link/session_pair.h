// Two sessions joined by a socket pair with real TLS, for tests.
#pragma once

#include "link/session.h"
#include "tests/unit/net/tls_pair.h"

namespace p2prc::link {

struct SessionPair {
    explicit SessionPair(boost::asio::io_context& loop) {
        net::TlsPair pair(loop);
        left = Session::make(loop.get_executor(), std::move(pair.server));
        right = Session::make(loop.get_executor(), std::move(pair.client));
    }

    std::shared_ptr<Session> left, right;
};

} // namespace p2prc::link

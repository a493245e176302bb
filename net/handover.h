// Carries a service's clients on in a copy of the process, while the next process already starts.
#pragma once

#include "core/error.h"

namespace boost::asio {
class io_context;
}

namespace p2prc::net {

// Forks, and ends this process with `exit_status` at once, without destructors. Returns in the copy, once the
// original is gone, or the error in the original when there is no copy. `context` must be the caller's, which
// runs on no other thread; it goes on in the copy with all that waits on it.
//
// Until the original is gone, both hold the same sockets, and closing one would not take it out of an epoll
// set (epoll(7), question 6): events would arrive for a handler that is destroyed.
Result<void> hand_over_to_copy(boost::asio::io_context& context, int exit_status);

} // namespace p2prc::net

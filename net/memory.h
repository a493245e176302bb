// Gives freed memory back to the kernel when something large is over.
#pragma once

#include <boost/asio/any_io_executor.hpp>

namespace p2prc::net {

// In a second, once for all that ask until then: what is being sent is freed by then, and a crowd that comes
// back costs one pass over the heap a second. May be called on any thread; `executor` is one's that may wait
// some milliseconds.
void release_memory_soon(boost::asio::any_io_executor executor);

} // namespace p2prc::net

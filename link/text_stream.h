// Text that comes in pieces, from this node or another one.
#pragma once

#include "core/error.h"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>

namespace p2prc::link {

// Destroying it ends it at its source.
class TextStream {
  public:
    virtual ~TextStream() = default;
    // The next piece, whole lines of at most 32 KiB; nothing at the end. One call at a time.
    virtual boost::asio::awaitable<Result<std::optional<std::string>>> next() = 0;
};

} // namespace p2prc::link

// Shares out the logs of each node among the nodes that read them: the root passes what one reads of another.
#pragma once

#include "daemon/fleet/control.h"
#include "daemon/fleet/log_limit.h"

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>

namespace p2prc::daemon {

// Of all nodes together, through however many links.
inline constexpr std::size_t logs_of_one_reader = 8;
// Fewer than the node itself allows: those that are being ended still count there.
inline constexpr std::size_t logs_of_one_node = logs_for_other_nodes - 4;

class LogShares {
  public:
    // One stream's place, for as long as it lives.
    class Share;

    explicit LogShares(boost::asio::any_io_executor executor);

    // A place for a log of `node` that `reader` wants to read; users of this machine are the reader "".
    // When all places of the node are taken, the reader with the most of them loses its latest one, unless it
    // has hardly more than `reader`: then `reader` is refused. Users of this machine never lose one.
    Result<std::shared_ptr<Share>> take(const std::string& reader, const std::string& node);

    // `stream`, until `share` is needed by somebody else: then it ends with an error.
    std::unique_ptr<link::TextStream> hold(std::unique_ptr<link::TextStream> stream,
                                           std::shared_ptr<Share> share) const;

  private:
    struct Table;

    boost::asio::any_io_executor executor_;
    std::shared_ptr<Table> table_;
};

} // namespace p2prc::daemon

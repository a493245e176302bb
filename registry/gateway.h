// Access to the fleet's registry, wherever it is: in this process, or through the control link.
#pragma once

#include "core/error.h"
#include "core/json.h"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <vector>

namespace p2prc::registry {

class Gateway {
  public:
    virtual ~Gateway() = default;
    // One request of the registry's vocabulary (registry/methods.h). `params` is an object and carries
    // "by": "user@node". The answer comes when the change is on disk. Unreachable when the registry is away.
    virtual boost::asio::awaitable<Result<Json>> request(std::string method, Json params) = 0;
    // What people should know of this node's databases, and do.
    virtual std::vector<Error> notices() const { return {}; }
    // Why others do not see all that this node says of itself, though the registry can be reached.
    virtual std::optional<Error> upload_trouble() const { return std::nullopt; }
    virtual bool reachable() const = 0;
    // It has not been reached yet since a moment ago, when this program began or its node joined.
    virtual bool connecting() const { return false; }
    // Why it is not, and what to do about that.
    virtual Error away() const {
        return {ErrorCode::Unreachable, "the root node is not reachable",
                "is it up, and can this machine reach its port 443? processes on this node keep running and "
                "can be "
                "listed, stopped, started and killed"};
    }
};

} // namespace p2prc::registry

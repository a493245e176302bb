// This node as the one that holds its registry: standalone, or the root of a fleet. The two differ only in
// which nodes are listed.
#pragma once

#include "daemon/fleet/hub.h"
#include "daemon/fleet/node_context.h"
#include "daemon/fleet/upload.h"
#include "link/server.h"
#include "registry/local_registry.h"

#include <boost/asio/awaitable.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace p2prc::daemon {

class Root : public std::enable_shared_from_this<Root> {
  public:
    explicit Root(std::shared_ptr<NodeContext> node) : node_(std::move(node)) {}

    // Opens the registry, mending it where it is damaged, imports `handover` before anybody sees the registry
    // without it, and serves members. A registry that is damaged beyond mending is no error: lost() says
    // why, as it does after an error.
    boost::asio::awaitable<Result<void>> open(Json handover);
    const std::optional<Error>& lost() const { return lost_; }
    // nullptr: not open yet, lost or closed.
    const std::shared_ptr<registry::LocalRegistry>& registry() const { return registry_; }

    // The node has another name from now on, and so does what it uploads.
    void name_changes();
    void name_changed();

    // nullptr: not open.
    Hub* hub() const { return hub_.get(); }
    std::optional<Error> upload_trouble() const;

    // Serves nobody any more. Requests that are under way hold the registry for a while; its file is let go
    // of at once.
    void close();
    // When it returns, the file is closed and can be removed.
    boost::asio::awaitable<void> close_file();

  private:
    using Documents = std::map<std::string, std::string>;
    using Opened = Result<std::shared_ptr<registry::LocalRegistry>>;
    boost::asio::awaitable<Result<void>> open_and_serve(Json handover);
    boost::asio::awaitable<Opened> open_registry(std::optional<Documents> copy);
    boost::asio::awaitable<Opened> open_or_mend_registry();
    boost::asio::awaitable<Result<void>> mend_registry();
    boost::asio::awaitable<void> import(Json handover);
    Documents copy_of_registry() const;
    Result<void> serve();
    Result<void> listen();

    std::shared_ptr<NodeContext> node_;
    bool closed_ = false;
    std::optional<Error> lost_;
    std::shared_ptr<registry::LocalRegistry> opening_; // not usable yet
    std::shared_ptr<registry::LocalRegistry> registry_;
    state::Subscription feed_;
    std::unique_ptr<Upload> upload_;
    std::unique_ptr<Hub> hub_;
    std::unique_ptr<link::ControlServer> server_;
};

} // namespace p2prc::daemon

#include "edge/tunnel/upstream.h"

#include <nlohmann/json.hpp>
#include <sys/epoll.h>

#include <algorithm>

namespace p2prc::edge {

// A client that waits for its flow. Its socket is watched meanwhile: if it leaves, the flow is cancelled.
class TunnelUpstream::Client final : public tunnel::PollHandler {
  public:
    Client(TunnelUpstream& upstream, std::uint64_t number, Connection connection_, std::string_view message_,
           std::uint32_t group_)
        : connection(std::move(connection_))
        , message(message_)
        , group(group_)
        , upstream_(upstream)
        , number_(number) {}

    void on_ready(unsigned, std::uint32_t) override {
        if (!connection.socket) return;
        upstream_.tunnels_->cancel(ticket);
        upstream_.joiner_.left();
        connection.socket.reset();
        upstream_.poller_.retire(upstream_.release(number_));
    }

    Connection connection;
    std::string message;
    std::uint32_t group;
    Tunnels::Ticket ticket;

  private:
    TunnelUpstream& upstream_;
    std::uint64_t number_;
};

Result<std::unique_ptr<TunnelUpstream>> TunnelUpstream::create(tunnel::Poller& poller, tunnel::Pumps& pumps,
                                                               Joiner& joiner,
                                                               const net::Identity& identity) {
    auto tunnels = Tunnels::create(poller, identity);
    if (!tunnels) return std::unexpected(tunnels.error());
    return std::unique_ptr<TunnelUpstream>(new TunnelUpstream(poller, pumps, joiner, std::move(*tunnels)));
}

TunnelUpstream::TunnelUpstream(tunnel::Poller& poller, tunnel::Pumps& pumps, Joiner& joiner,
                               std::unique_ptr<Tunnels> tunnels)
    : poller_(poller)
    , pumps_(pumps)
    , joiner_(joiner)
    , tunnels_(std::move(tunnels)) {}

TunnelUpstream::~TunnelUpstream() {
    tunnels_.reset();
    for (auto& [number, client] : clients_)
        poller_.retire(std::move(client));
}

void TunnelUpstream::allow(const std::vector<std::string>& connector_keys) {
    tunnels_->allow(connector_keys);
    std::erase_if(groups_, [&](const auto& of) {
        if (std::ranges::find(connector_keys, of.first) != connector_keys.end()) return false;
        pumps_.stop(of.second);
        return true;
    });
}

void TunnelUpstream::on_session(Connection connection) {
    // From here on, Asio watches the socket.
    if (connection.polled) poller_.remove(connection.socket.get());
    const ByteView received = as_bytes(connection.received);
    tunnels_->accept_session(std::move(connection.socket), connection.peer.address,
                             Bytes(received.begin(), received.end()));
}

void TunnelUpstream::on_flow(Connection connection) {
    tunnels_->accept_flow(std::move(connection.socket), as_bytes(connection.received), connection.polled);
}

void TunnelUpstream::carry(Connection connection, const Route& route, const std::string& name,
                           std::string_view message) {
    FlowRequest request;
    request.connector_key = route.node_key;
    request.mapping_id = route.mapping_id;
    request.tls = route.tls;
    request.client = connection.peer;
    request.server = net::local_endpoint(connection.socket.get());
    request.server_name = name;
    request.first_bytes = std::move(connection.received);
    const std::uint32_t group = group_of(route.node_key);
    const std::uint64_t number = ++last_client_;
    auto owned = std::make_unique<Client>(*this, number, std::move(connection), message, group);
    Client& client = *owned;
    // As in Dialling: a client that sends its FIN before it has received anything has left.
    if (!watch(poller_, client.connection, EPOLLRDHUP, client, 0)) {
        joiner_.refuse(std::move(client.connection), message);
        return poller_.retire(std::move(owned));
    }
    clients_.emplace(number, std::move(owned));
    client.ticket = tunnels_->open(
        std::move(request), [this, number](Result<ReadyFlow> flow) { opened(number, std::move(flow)); });
}

void TunnelUpstream::look_up_with(std::function<const Route*(const std::string& name)> look_up) {
    tunnels_->look_up_with(
        [look_up = std::move(look_up)](const std::string& name) -> std::optional<Destination> {
            const Route* route = look_up(name);
            if (!route) return std::nullopt;
            return Destination{route->node_key, route->mapping_id, route->tls};
        });
}

std::uint32_t TunnelUpstream::group_of(const std::string& connector_key) {
    auto& group = groups_[connector_key];
    if (group == 0) group = ++last_group_;
    return group;
}

// If the client left after the answer, destroying `flow` closes the flow connection.
void TunnelUpstream::opened(std::uint64_t number, Result<ReadyFlow> flow) {
    auto client = release(number);
    if (!client) return;
    if (flow && !flow->moved_to.empty()) client->group = group_of(flow->moved_to);
    if (flow)
        joiner_.join(std::move(client->connection), std::move(flow->socket), true, std::move(flow->unsent),
                     client->group);
    else
        joiner_.refuse(std::move(client->connection), client->message);
    poller_.retire(std::move(client));
}

std::unique_ptr<TunnelUpstream::Client> TunnelUpstream::release(std::uint64_t number) {
    const auto found = clients_.find(number);
    if (found == clients_.end()) return nullptr;
    auto client = std::move(found->second);
    clients_.erase(found);
    return client;
}

std::size_t TunnelUpstream::homes() const {
    return tunnels_->counts().homes;
}

nlohmann::json TunnelUpstream::status() const {
    const TunnelCounts counts = tunnels_->counts();
    return {{"homes", counts.homes},
            {"sessions", counts.sessions},
            {"ready", counts.idle},
            {"waiting", counts.waiting},
            {"opened", counts.opened},
            {"refused", counts.refused},
            {"failed", counts.failed},
            {"crowded_out", counts.crowded_out},
            {"surplus", counts.surplus},
            {"replays", counts.replays},
            {"bad_prefaces", counts.bad_prefaces}};
}

} // namespace p2prc::edge

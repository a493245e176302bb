#include "connector/connector.h"

#include "connector/tls_pumps.h"
#include "tunnel/pumps.h"

namespace p2prc::connector {

using tunnel::Answer;

struct Connector::State : std::enable_shared_from_this<Connector::State> {
    State(tunnel::Poller& poller_, net::Identity identity_, LinkChanged changed_, EdgeLinkOptions options_)
        : poller(poller_)
        , identity(std::move(identity_))
        , changed(std::move(changed_))
        , options(options_)
        , pumps(poller, {.half_closed = TlsPumpOptions().half_closed})
        , tls_pumps(poller) {}

    // The table of this machine's own p2prcd decides; what the edge says is only which entry.
    Resolved resolve(const tunnel::FlowHeader& header) const {
        const auto found = mappings.find(header.mapping_id);
        if (found == mappings.end()) return {Answer::UnknownMapping, 0, nullptr};
        const Mapping& mapping = found->second;
        if (!tunnel::may_travel_unsealed(mapping.tls)) return {Answer::NeedsSealing, 0, nullptr};
        if (mapping.tls == TlsMode::Passthrough) return {Answer::Accepted, mapping.port, nullptr};
        const auto certificate = certificates.find(mapping.domain);
        if (certificate == certificates.end()) return {Answer::NoCertificate, 0, nullptr};
        return {Answer::Accepted, mapping.port, certificate->second};
    }

    void accept(AcceptedFlow flow) {
        if (flow.tls) return tls_pumps.start(std::move(flow));
        tunnel::PumpSockets sockets;
        sockets.a = std::move(flow.tunnel);
        sockets.b = std::move(flow.application);
        sockets.to_b = std::move(flow.received);
        sockets.a_polled = true;
        sockets.b_polled = flow.application_polled;
        pumps.start(std::move(sockets));
    }

    void set_edges(const std::vector<EdgeAddress>& edges) {
        std::map<std::string, std::pair<EdgeAddress, std::unique_ptr<EdgeLink>>> kept;
        for (const EdgeAddress& edge : edges) {
            const std::string address = edge.address.text();
            const auto old = links.find(address);
            if (old != links.end() && old->second.first == edge) {
                kept[address] = std::move(old->second);
                continue;
            }
            const auto weak = weak_from_this();
            kept[address] = {edge, std::make_unique<EdgeLink>(
                                       poller, identity, edge,
                                       [this](const tunnel::FlowHeader& header) { return resolve(header); },
                                       [this](AcceptedFlow flow) { accept(std::move(flow)); },
                                       [weak, edge](const EdgeLinkStatus& status) {
                                           const auto self = weak.lock();
                                           if (self && self->changed) self->changed(edge, status);
                                       },
                                       options)};
        }
        links = std::move(kept);
    }

    tunnel::Poller& poller;
    net::Identity identity;
    LinkChanged changed;
    EdgeLinkOptions options;
    tunnel::Pumps pumps;
    TlsPumps tls_pumps;
    std::map<std::uint32_t, Mapping> mappings;
    std::map<std::string, std::shared_ptr<ssl_ctx_st>> certificates;
    std::map<std::string, std::pair<EdgeAddress, std::unique_ptr<EdgeLink>>> links; // by address; goes first
};

Connector::Connector(tunnel::Poller& poller, net::Identity identity, LinkChanged changed,
                     EdgeLinkOptions options)
    : state_(std::make_shared<State>(poller, std::move(identity), std::move(changed), options)) {}

Connector::~Connector() {
    state_->links.clear();
}

void Connector::set_mappings(const MappingTable& table) {
    state_->mappings = table.mappings;
    state_->set_edges(table.edges);
}

void Connector::set_certificate(const std::string& domain, std::shared_ptr<ssl_ctx_st> context) {
    if (context)
        state_->certificates[domain] = std::move(context);
    else
        state_->certificates.erase(domain);
}

void Connector::network_changed() {
    for (const auto& [address, link] : state_->links)
        link.second->network_changed();
}

ConnectorStatus Connector::status() const {
    ConnectorStatus status;
    for (const auto& [address, link] : state_->links)
        status.edges[address] = link.second->status();
    status.clients = state_->pumps.size() + state_->tls_pumps.size();
    return status;
}

} // namespace p2prc::connector

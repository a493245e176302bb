#include "connector/connector.h"

#include "connector/error_page.h"
#include "connector/tls_pumps.h"
#include "net/spawn.h"
#include "tunnel/pumps.h"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>

namespace p2prc::connector {
namespace asio = boost::asio;
namespace {

constexpr std::size_t most_pages = 256; // being served at once
// A process that was ready and refuses a client may have ended a moment ago: p2prcd says so soon.
constexpr std::chrono::milliseconds news_within{2000};

std::chrono::milliseconds hold_of(const Mapping& mapping) {
    switch (mapping.availability) {
    case Availability::Coming:
        return mapping.hold;
    case Availability::Running:
        return std::min(mapping.hold, news_within);
    case Availability::Stopped:
    case Availability::Failed:
        break;
    }
    return {};
}

Trouble trouble_of(Availability availability) {
    switch (availability) {
    case Availability::Coming:
        return Trouble::Starting;
    case Availability::Stopped:
        return Trouble::Stopped;
    case Availability::Failed:
        return Trouble::Failed;
    case Availability::Running:
        break;
    }
    return Trouble::NoAnswer;
}

} // namespace

using tunnel::Answer;

struct Connector::State : std::enable_shared_from_this<Connector::State> {
    State(tunnel::Poller& poller_, net::Identity identity_, LinkChanged changed_, EdgeLinkOptions options_,
          Answered answered_)
        : poller(poller_)
        , identity(std::move(identity_))
        , changed(std::move(changed_))
        , options(options_)
        , answered(std::move(answered_))
        , pumps(poller, {.half_closed = TlsPumpOptions().half_closed})
        , tls_pumps(poller, {},
                    {[this](std::uint32_t mapping) { return resolve(mapping); },
                     [this](net::UniqueFd socket, Trouble trouble, std::uint32_t mapping) {
                         start_page(std::move(socket), trouble, mapping);
                     }}) {}

    // The table of this machine's own p2prcd decides the target; the edge only says which entry.
    Resolved resolve(std::uint32_t id) const {
        Resolved resolved;
        const auto found = mappings.find(id);
        if (found == mappings.end()) return resolved;
        const Mapping& mapping = found->second;
        resolved.answer = Answer::NeedsSealing;
        if (!tunnel::may_travel_unsealed(mapping.tls)) return resolved;
        resolved.answer = Answer::NoCertificate;
        if (mapping.tls == TlsMode::Node) {
            const auto certificate = certificates.find(mapping.domain);
            if (certificate == certificates.end()) return resolved;
            resolved.tls = certificate->second;
        }
        resolved.answer = Answer::Accepted;
        resolved.mapping = mapping.id;
        if (mapping.address) resolved.target = net::Endpoint{*mapping.address, mapping.port};
        resolved.groups = mapping.groups;
        resolved.hold = hold_of(mapping);
        resolved.trouble = trouble_of(mapping.availability);
        return resolved;
    }

    void accept(AcceptedFlow flow) {
        tunnel::TrafficShare share;
        if (flow.page) {
            start_page(std::move(flow.page), flow.trouble, flow.mapping);
            flow.mapping = 0; // the end of a page is no reason to dial again
        } else {
            share = share_of(flow.mapping);
        }
        if (flow.tls) return tls_pumps.start(std::move(flow), std::move(share));
        tunnel::PumpSockets sockets;
        sockets.a = std::move(flow.tunnel);
        sockets.b = std::move(flow.application);
        sockets.to_b = std::move(flow.received);
        sockets.a_polled = true;
        sockets.b_polled = flow.application_polled;
        sockets.traffic = std::move(share);
        pumps.start(std::move(sockets));
    }

    tunnel::TrafficShare share_of(std::uint32_t mapping) {
        auto& counted = traffic[mapping];
        if (!counted) counted = std::make_shared<tunnel::Traffic>();
        return tunnel::TrafficShare(counted);
    }

    // Without a page, the client's TLS ends when the other end closes.
    void start_page(net::UniqueFd socket, Trouble trouble, std::uint32_t mapping) {
        if (pages >= most_pages) return;
        asio::co_spawn(poller.executor(),
                       serve_page(weak_from_this(), std::move(socket), {trouble, domain_of(mapping)}),
                       net::ReportFailure("a page for a visitor"));
    }

    // What a page calls it; empty where the mapping does not say.
    std::string domain_of(std::uint32_t id) const {
        const auto found = mappings.find(id);
        if (found == mappings.end() || found->second.domain.starts_with("*.")) return {};
        return found->second.domain;
    }

    static asio::awaitable<void> serve_page(std::weak_ptr<State> weak, net::UniqueFd socket, Page page) {
        if (const auto self = weak.lock()) ++self->pages;
        co_await serve_error_page(std::move(socket), std::move(page));
        if (const auto self = weak.lock()) --self->pages;
    }

    FlowHandlers handlers() {
        return {[this](std::uint32_t mapping) { return resolve(mapping); },
                [this](AcceptedFlow flow) { accept(std::move(flow)); }, answered};
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
                                       poller, identity, edge, handlers(),
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
    Answered answered;
    std::size_t pages = 0;
    tunnel::Pumps pumps;
    TlsPumps tls_pumps;
    std::map<std::uint32_t, Mapping> mappings;
    std::map<std::uint32_t, std::shared_ptr<tunnel::Traffic>>
        traffic; // by mapping, of those that had clients
    std::map<std::string, std::shared_ptr<ssl_ctx_st>> certificates;
    std::map<std::string, std::pair<EdgeAddress, std::unique_ptr<EdgeLink>>> links; // by address; goes first
};

Connector::Connector(tunnel::Poller& poller, net::Identity identity, LinkChanged changed,
                     EdgeLinkOptions options, Answered answered)
    : state_(std::make_shared<State>(poller, std::move(identity), std::move(changed), options,
                                     std::move(answered))) {}

Connector::~Connector() {
    state_->links.clear();
}

void Connector::set_mappings(const MappingTable& table) {
    state_->mappings = table.mappings;
    std::erase_if(state_->traffic,
                  [&table](const auto& entry) { return !table.mappings.contains(entry.first); });
    state_->set_edges(table.edges);
    for (const auto& [address, link] : state_->links)
        link.second->mappings_changed();
    state_->tls_pumps.mappings_changed();
}

void Connector::set_certificate(const std::string& domain, std::shared_ptr<ssl_ctx_st> context) {
    if (context)
        state_->certificates[domain] = std::move(context);
    else
        state_->certificates.erase(domain);
}

std::map<std::uint32_t, tunnel::Traffic> Connector::traffic() const {
    std::map<std::uint32_t, tunnel::Traffic> all;
    for (const auto& [id, mapping] : state_->mappings) {
        const auto counted = state_->traffic.find(id);
        all.emplace(id, counted == state_->traffic.end() ? tunnel::Traffic() : *counted->second);
    }
    return all;
}

void Connector::network_changed() {
    for (const auto& [address, link] : state_->links)
        link.second->network_changed();
}

void Connector::leave() {
    state_->links.clear();
}

ConnectorStatus Connector::status() const {
    ConnectorStatus status;
    for (const auto& [address, link] : state_->links) {
        status.edges[address] = link.second->status();
        status.held += status.edges[address].held;
    }
    status.held += state_->tls_pumps.waiting();
    status.clients = state_->pumps.size() + state_->tls_pumps.size();
    return status;
}

} // namespace p2prc::connector

#include "connector/edge_link.h"

#include "net/asio.h"
#include "net/dial.h"
#include "net/spawn.h"
#include "tunnel/session_frame.h"

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace p2prc::connector {
namespace asio = boost::asio;

struct EdgeLink::State : std::enable_shared_from_this<EdgeLink::State> {
    State(tunnel::Poller& poller_, net::Identity identity_, EdgeAddress edge_, FlowHandlers handlers_,
          Changed changed_, EdgeLinkOptions options_)
        : poller(poller_)
        , executor(poller_.executor())
        , identity(std::move(identity_))
        , edge(std::move(edge_))
        , handlers(std::move(handlers_))
        , changed(std::move(changed_))
        , options(options_)
        , retry(executor) {}

    static asio::awaitable<void> run(std::shared_ptr<State> self) {
        auto pause = self->options.first_retry;
        while (!self->closed) {
            self->woken = false;
            const Result<void> ended = co_await session(self);
            if (self->closed) co_return;
            if (std::exchange(self->status.up, false)) pause = self->options.first_retry;
            self->pool.reset();
            self->channel.reset();
            self->tell(ended.error());
            if (self->woken) continue;
            self->retry.expires_after(pause);
            co_await self->retry.async_wait(net::as_result);
            pause = std::min(pause * 2, self->options.longest_retry);
        }
    }

    // Runs one session from dial to end; always returns an error, the reason of its end.
    static asio::awaitable<Result<void>> session(std::shared_ptr<State> self) {
        Result<net::UniqueFd> socket =
            co_await net::dial(self->edge.address, self->options.dial, std::chrono::seconds(30));
        if (!socket) co_return std::unexpected(socket.error());
        const std::string key = self->edge.key;
        Result<net::TlsContext> tls = net::tls_client(self->identity, std::string(tunnel::session_alpn),
                                                      [key](std::string_view shown) { return shown == key; });
        if (!tls) co_return std::unexpected(tls.error());
        net::TlsStream stream(self->executor, std::move(*socket), *tls);
        const Result<void> secured =
            co_await stream.handshake(net::TlsStream::Side::Client, self->options.handshake);
        if (!secured) co_return std::unexpected(secured.error());
        const Result<Bytes> exported = stream.export_key(tunnel::exporter_label, tunnel::exporter_size);
        if (!exported) co_return std::unexpected(exported.error());
        if (self->closed) co_return fail(ErrorCode::Failed, "closed");
        self->channel =
            std::make_unique<tunnel::SessionChannel>(self->executor, std::move(stream), self->options.ping);
        self->channel->send(tunnel::encode_hello(std::nullopt));
        co_return co_await listen(self, *exported);
    }

    static asio::awaitable<Result<void>> listen(std::shared_ptr<State> self, Bytes exported) {
        while (true) {
            const Result<tunnel::SessionFrame> frame = co_await self->channel->receive();
            if (!frame) co_return std::unexpected(frame.error());
            if (self->closed) co_return fail(ErrorCode::Failed, "closed");
            switch (static_cast<tunnel::FrameType>(frame->type)) {
            case tunnel::FrameType::Hello: {
                const auto hello = tunnel::parse_hello(frame->payload);
                if (!hello || hello->session == 0 || self->pool)
                    co_return fail(ErrorCode::Failed, "the edge sent an invalid hello");
                if (hello->version < tunnel::session_version)
                    co_return fail(ErrorCode::NotSupported, "the edge speaks an older tunnel protocol",
                                   "upgrade p2prc-edge on the root node");
                self->pool = std::make_unique<FlowPool>(self->poller, self->edge.address, hello->session,
                                                        tunnel::FlowSeals(exported), self->pool_handlers(),
                                                        self->options.pool);
                self->status.up = true;
                self->tell({});
                break;
            }
            case tunnel::FrameType::Want:
                if (const auto count = tunnel::parse_want(frame->payload); count && self->pool)
                    self->pool->want(*count);
                break;
            case tunnel::FrameType::Goodbye:
                co_return fail(ErrorCode::NotPermitted,
                               fmt::format("the edge at {} ended the session: {}", self->edge.address.text(),
                                           printable(frame->payload)),
                               "if this node was removed from the fleet, join again");
            default:
                break;
            }
        }
    }

    // The pool ends before the channel does.
    FlowHandlers pool_handlers() {
        FlowHandlers made = handlers;
        made.holding = [this](std::uint32_t mapping, std::chrono::milliseconds time) {
            if (channel) channel->send(tunnel::encode_hold({mapping, time}));
        };
        return made;
    }

    static std::string printable(ByteView payload) {
        std::string text(payload.begin(), payload.end());
        std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
        return text;
    }

    void tell(const Error& error) {
        const bool news = status.up != told_up || status.error != error.message;
        status.error = error.message;
        status.hint = error.hint;
        told_up = status.up;
        if (news && changed) changed(status);
    }

    void close() {
        closed = true;
        retry.cancel();
        pool.reset();
        if (channel) channel->close();
    }

    tunnel::Poller& poller;
    asio::any_io_executor executor;
    net::Identity identity;
    EdgeAddress edge;
    FlowHandlers handlers;
    Changed changed;
    EdgeLinkOptions options;
    asio::steady_timer retry;
    std::unique_ptr<tunnel::SessionChannel> channel;
    std::unique_ptr<FlowPool> pool;
    EdgeLinkStatus status;
    bool told_up = false;
    bool woken = false; // the network changed during an attempt
    bool closed = false;
};

EdgeLink::EdgeLink(tunnel::Poller& poller, const net::Identity& identity, EdgeAddress edge,
                   FlowHandlers handlers, Changed changed, EdgeLinkOptions options)
    : state_(std::make_shared<State>(poller, identity, std::move(edge), std::move(handlers),
                                     std::move(changed), options)) {
    net::spawn_loop(state_->executor, "keeping a tunnel", [state = state_] { return State::run(state); });
}

EdgeLink::~EdgeLink() {
    state_->close();
}

void EdgeLink::network_changed() {
    state_->woken = true;
    if (state_->channel) {
        state_->channel->probe(state_->options.probe);
        if (state_->pool) state_->pool->network_changed();
        return;
    }
    state_->retry.cancel();
}

void EdgeLink::mappings_changed() {
    if (state_->pool) state_->pool->mappings_changed();
}

EdgeLinkStatus EdgeLink::status() const {
    EdgeLinkStatus status = state_->status;
    if (state_->pool) {
        status.ready = state_->pool->ready();
        status.held = state_->pool->held();
    }
    return status;
}

} // namespace p2prc::connector

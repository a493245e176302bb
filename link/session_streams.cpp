// Streams of a session: those that the peer sends, and those that we do.
#include "core/text.h"
#include "link/session_impl.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

namespace p2prc::link {

namespace asio = boost::asio;

namespace {

// Whole lines of 32 KiB; what is not UTF-8 in them takes three bytes for one on the wire.
constexpr std::size_t largest_chunk = 128 << 10;

using Piece = Result<std::optional<std::string>>;

// A read from a stream's source, which ends when the stream is cancelled.
struct Read {
    std::optional<Piece> piece;
    asio::cancellation_signal cancel;
};

} // namespace

// The receiving end of a stream.
class Session::RemoteStream : public TextStream {
  public:
    RemoteStream(std::shared_ptr<Session> session, std::uint64_t id,
                 std::shared_ptr<State::Incoming> incoming)
        : session_(std::move(session))
        , id_(id)
        , incoming_(std::move(incoming)) {}
    ~RemoteStream() override {
        session_->state_->incoming.erase(id_);
        if (!incoming_->end) session_->send({{"cancel", id_}});
    }

    asio::awaitable<Result<std::optional<std::string>>> next() override {
        const auto incoming = incoming_;
        while (incoming->chunks.empty()) {
            if (incoming->end && !*incoming->end) co_return std::unexpected(incoming->end->error());
            if (incoming->end) co_return std::optional<std::string>();
            co_await incoming->changed.wait();
        }
        auto chunk = std::move(incoming->chunks.front());
        incoming->chunks.pop_front();
        if (!incoming->end) session_->send({{"more", id_}});
        co_return std::optional(std::move(chunk));
    }

  private:
    std::shared_ptr<Session> session_;
    std::uint64_t id_;
    std::shared_ptr<State::Incoming> incoming_;
};

asio::awaitable<Result<std::unique_ptr<TextStream>>> Session::open_stream(std::string method, Json params) {
    const auto self = shared_from_this();
    if (state_->closed) co_return fail(ErrorCode::Unreachable, "the link is down");
    const auto id = state_->next_id++;
    const auto incoming = std::make_shared<State::Incoming>(state_->executor);
    state_->incoming[id] = incoming;
    Json document{{"id", id}, {"method", std::move(method)}, {"params", std::move(params)}, {"stream", true}};
    if (!send(document)) {
        state_->incoming.erase(id);
        co_return fail(ErrorCode::InvalidSpec, "the request is too large for the link");
    }
    std::unique_ptr<TextStream> stream = std::make_unique<RemoteStream>(self, id, incoming);
    co_return std::move(stream);
}

void Session::take_piece(std::uint64_t id, const Json& document) {
    const auto error = document.find("error");
    const auto it = state_->incoming.find(id);
    if (it == state_->incoming.end()) return;
    auto& incoming = *it->second;
    if (incoming.end) return; // nothing comes after the end
    if (error != document.end()) {
        incoming.end = std::unexpected(error_from_json(*error));
    } else if (document.contains("end")) {
        incoming.end = Result<void>();
    } else if (auto chunk = text(document, "chunk");
               incoming.chunks.size() > 2 * stream_window || chunk.size() > largest_chunk) {
        incoming.end = fail(ErrorCode::Failed, "the peer sends more than it may");
    } else {
        incoming.chunks.push_back(std::move(chunk));
    }
    incoming.changed.set();
}

asio::awaitable<void> Session::serve_stream(std::shared_ptr<Session> /* keeps it alive */, std::uint64_t id,
                                            std::string method, Json params, std::size_t bytes) {
    const auto outgoing = state_->outgoing.at(id);
    const auto name = "'" + text::excerpt(method) + "'";
    Result<std::unique_ptr<TextStream>> source =
        fail(ErrorCode::NotSupported, name + " is not in this version");
    try {
        if (const auto handler = state_->handlers.stream)
            source = co_await handler(std::move(method), std::move(params));
    } catch (const std::exception& failure) {
        source = fail(ErrorCode::Failed, name + " broke: " + failure.what());
    }
    // The request itself is done with; what follows is bounded by the window.
    state_->held -= bytes;
    state_->room.set();
    std::optional<Error> error;
    if (!source) error = source.error();

    // Each read is a coroutine of its own, so that a cancelled stream ends even while its source is silent.
    if (source) {
        const std::shared_ptr<TextStream> shared = std::move(*source);
        while (!outgoing->cancelled && !state_->closed) {
            if (outgoing->credit == 0) {
                co_await outgoing->changed.wait();
                continue;
            }
            const auto read = std::make_shared<Read>();
            auto done = [read, outgoing, shared](std::exception_ptr failure, Piece result) {
                if (failure) result = fail(ErrorCode::Failed, "the stream broke");
                read->piece = std::move(result);
                outgoing->changed.set();
            };
            asio::co_spawn(state_->executor, shared->next(),
                           asio::bind_cancellation_slot(read->cancel.slot(), std::move(done)));
            while (!read->piece && !outgoing->cancelled)
                co_await outgoing->changed.wait();
            if (!read->piece) read->cancel.emit(asio::cancellation_type::terminal);
            if (outgoing->cancelled) break;
            auto& result = *read->piece;
            if (!result) error = result.error();
            if (!result || !*result) break;
            --outgoing->credit;
            send({{"id", id}, {"chunk", std::move(**result)}});
        }
    }
    state_->outgoing.erase(id);
    let_go(0);
    Json last{{"id", id}};
    if (error)
        last["error"] = error_to_json(*error);
    else
        last["end"] = true;
    send(last);
}

} // namespace p2prc::link

// One connection of the control link after its handshake: requests, streams and events in both directions.
//
// Documents on the wire:
//   {"id", "method", "params"}  ->  {"id", "result"} or {"id", "error": {code, message, hint}}
//   {"id", "method", "params", "stream": true}  ->  {"id", "chunk": text}..., then {"id", "end": true} or an
//   error;
//     at most stream_window chunks without a {"more": id} for each; {"cancel": id} ends it early
//   {"event": name, ...}, {"ping": n} -> {"pong": n, "time": wall clock, ms}, {"hello": {...}} as the first
//   of
//     each side
// Unknown documents are ignored, unknown methods answered.
#pragma once

#include "core/encoding.h"
#include "core/error.h"
#include "core/json.h"
#include "link/text_stream.h"
#include "net/tls.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace p2prc::link {

inline constexpr std::size_t stream_window = 16;
// A peer that does not read is dropped when this much waits for it. Whoever has more to send waits for
// room().
inline constexpr std::size_t max_unsent = 16 << 20;
// What a frame that waits takes up besides its bytes, about: many small ones count as what they are.
inline constexpr std::size_t frame_overhead = 256;
// When so many of the peer's requests are served, or so much of them, as they came over the wire, nothing
// more is read until one is answered. Streams are fewer: they alone never keep the answers to our requests
// unread.
inline constexpr std::size_t max_requests_at_once = 64;
inline constexpr std::size_t max_request_bytes = 4 << 20;
// Streams that a peer may read at once, where its handlers do not say otherwise.
inline constexpr std::size_t max_streams_at_once = 8;

Json error_to_json(const Error& error);
Error error_from_json(const Json& document);

// What is done with what the peer asks and tells. Functions may be empty.
struct SessionHandlers {
    std::function<boost::asio::awaitable<Result<Json>>(std::string method, Json params)> request;
    std::function<boost::asio::awaitable<Result<std::unique_ptr<TextStream>>>(std::string method,
                                                                              Json params)>
        stream;
    std::function<void(const Json& event)> event;
    std::function<void()> heard; // after each document from the peer
    std::size_t streams = max_streams_at_once;
};

class Session : public std::enable_shared_from_this<Session> {
  public:
    // `stream` is past its handshake.
    static std::shared_ptr<Session> make(boost::asio::any_io_executor executor, net::TlsStream stream);
    ~Session();

    // Sends `mine` and returns the peer's hello; before run().
    boost::asio::awaitable<Result<Json>> exchange_hello(Json mine, std::chrono::milliseconds timeout);
    // Serves the peer until the connection ends, and says why it did. Requests under way then fail.
    boost::asio::awaitable<Error> run(SessionHandlers handlers);

    boost::asio::awaitable<Result<Json>>
    request(std::string method, Json params, std::chrono::milliseconds timeout = std::chrono::seconds(30));
    boost::asio::awaitable<Result<std::unique_ptr<TextStream>>> open_stream(std::string method, Json params);
    // Queues a document. Returns false if it is too large for one frame.
    bool send(const Json& document);
    // Queues a frame as it is, which many sessions may share.
    void send_frame(std::shared_ptr<const Bytes> frame);
    // Bytes that are queued, with the overhead of their frames, and how long the peer has taken none of them.
    std::size_t unsent() const;
    std::chrono::nanoseconds stuck() const;
    // Waits until fewer than `bytes` are queued, or the connection ends. One caller at a time.
    boost::asio::awaitable<void> room(std::size_t bytes);

    // Sends a ping; the answer sets round_trip().
    void ping();
    std::optional<std::chrono::microseconds> round_trip() const;
    // By how much this machine's wall clock is ahead of the peer's, by its last answer.
    std::optional<std::chrono::milliseconds> clock_ahead() const;
    // Time since the last byte from the peer. Includes the time that the machine is suspended.
    std::chrono::nanoseconds silence() const;

    // Ends the connection: run() returns, with `reason` if given.
    void close(std::optional<Error> reason = {});
    bool closed() const;
    // Waits until what was queued is handed to the kernel, or the connection ends.
    boost::asio::awaitable<void> drain();

    const net::TlsStream& tls() const;

  private:
    struct State;
    class RemoteStream;
    explicit Session(std::unique_ptr<State> state);

    boost::asio::awaitable<Result<Json>> read_document();
    boost::asio::awaitable<void> write_queue(std::shared_ptr<Session> self);
    boost::asio::awaitable<void> serve_request(std::shared_ptr<Session> self, std::uint64_t id,
                                               std::string method, Json params, std::size_t bytes);
    boost::asio::awaitable<void> serve_stream(std::shared_ptr<Session> self, std::uint64_t id,
                                              std::string method, Json params, std::size_t bytes);
    void hold(std::size_t bytes);
    void let_go(std::size_t bytes);
    void take_piece(std::uint64_t id, const Json& document);
    void dispatch(const Json& document);
    void dispatch_reply(std::uint64_t id, const Json& document);
    void fail_all(const Error& error);

    std::unique_ptr<State> state_;
};

} // namespace p2prc::link

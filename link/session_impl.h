// The implementation of Session; only for link/session*.cpp.
#pragma once

#include "link/frame.h"
#include "link/session.h"
#include "net/clock.h"
#include "net/event.h"

#include <nlohmann/json.hpp>

#include <deque>
#include <list>
#include <map>
#include <memory>

namespace p2prc::link {

struct Session::State {
    // A request of ours that has no answer yet.
    struct Pending {
        explicit Pending(const boost::asio::any_io_executor& executor) : changed(executor) {}
        net::Event changed;
        std::optional<Result<Json>> answer;
    };

    // A stream that the peer sends.
    struct Incoming {
        explicit Incoming(const boost::asio::any_io_executor& executor) : changed(executor) {}
        net::Event changed;
        std::deque<std::string> chunks;
        std::optional<Result<void>> end;
    };

    // A stream that we send.
    struct Outgoing {
        explicit Outgoing(const boost::asio::any_io_executor& executor) : changed(executor) {}
        net::Event changed;
        std::size_t credit = stream_window;
        bool cancelled = false;
    };

    State(boost::asio::any_io_executor e, net::TlsStream s)
        : executor(e)
        , stream(std::move(s))
        , drained(e)
        , sent(e)
        , room(e) {}

    boost::asio::any_io_executor executor;
    net::TlsStream stream;
    FrameReader reader;
    SessionHandlers handlers;
    std::list<std::shared_ptr<const Bytes>> unsent; // as FeedSender::steps_ is
    std::size_t unsent_bytes = 0;
    bool writing = false;
    bool closed = false;
    std::optional<Error> reason;
    net::Event drained;
    net::Event sent;                     // some of what was queued
    std::chrono::nanoseconds progress{}; // when it was, or began to wait
    std::uint64_t next_id = 1;
    std::size_t serving = 0;
    std::size_t held = 0; // bytes of the requests that are being served
    net::Event room;
    std::map<std::uint64_t, std::shared_ptr<Pending>> pending;
    std::map<std::uint64_t, std::shared_ptr<Incoming>> incoming;
    std::map<std::uint64_t, std::shared_ptr<Outgoing>> outgoing;
    std::chrono::nanoseconds heard = net::boottime();
    std::map<std::uint64_t, std::chrono::nanoseconds> pings;
    std::optional<std::chrono::microseconds> round_trip;
    std::optional<std::chrono::milliseconds> clock_ahead;
};

// A member of a peer's document, where it is of that kind.
std::optional<std::uint64_t> number(const Json& document, const char* key);
std::string text(const Json& document, const char* key);

} // namespace p2prc::link

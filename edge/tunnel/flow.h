// One flow connection at the edge: from idle to the connector's answer.
#pragma once

#include "core/encoding.h"
#include "net/fd.h"
#include "tunnel/answer.h"
#include "tunnel/poller.h"
#include "tunnel/preface.h"
#include "tunnel/seal.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace p2prc::edge {

class EdgeFlow;
struct EdgeSession;
struct PendingFlow;

// The owner of flow connections. A flow never calls these from inside one of its public functions.
class FlowKeeper {
  public:
    // It ended while it was idle, or the connector sent something before it was asked.
    virtual void flow_lost(EdgeFlow& flow) = 0;
    // The connector's answer; nothing if it ended or violated the protocol.
    virtual void flow_answered(EdgeFlow& flow, std::optional<tunnel::Answer> answer) = 0;

  protected:
    ~FlowKeeper() = default;
};

class EdgeFlow final : public tunnel::PollHandler {
  public:
    using Time = std::chrono::steady_clock::time_point;

    // Starts idle; the preface has been verified.
    EdgeFlow(FlowKeeper& keeper, net::UniqueFd socket, std::shared_ptr<EdgeSession> session,
             tunnel::FlowId id, Time now)
        : keeper_(keeper)
        , socket_(std::move(socket))
        , since_(now)
        , id_(id)
        , session_(std::move(session)) {}

    int socket() const noexcept { return socket_.get(); }
    Time since() const noexcept { return since_; }

    // Sends the sealed header and then `first_bytes` (kept by `pending`), and waits for the answer.
    void ask(std::shared_ptr<PendingFlow> pending, Bytes header);
    bool ready() const noexcept { return state_ == State::Ready; }
    // Ignores all further events; the socket closes with the object.
    void drop() noexcept { state_ = State::Done; }

    // After Answer::Accepted.
    net::UniqueFd take_socket() noexcept { return std::move(socket_); }
    std::string unsent() const;

    const std::shared_ptr<EdgeSession>& session() const noexcept { return session_; }
    const std::shared_ptr<PendingFlow>& pending() const noexcept { return pending_; }

    void on_ready(unsigned which, std::uint32_t events) override;

  private:
    enum class State { Ready, Asked, Done };

    void read_answer();
    bool write_request();
    // Reads what has arrived of the answer. Returns false at the end of the stream or on an error.
    bool read();

    FlowKeeper& keeper_;
    net::UniqueFd socket_;
    Time since_;
    State state_ = State::Ready;
    std::uint8_t input_size_ = 0;
    std::array<std::uint8_t, tunnel::sealed_answer_size> input_{};
    tunnel::FlowId id_;
    std::size_t written_ = 0; // bytes of header_ and the first bytes together
    Bytes header_;
    std::shared_ptr<EdgeSession> session_;
    std::shared_ptr<PendingFlow> pending_;
};

} // namespace p2prc::edge

// One flow connection at home: connects to the edge, stays idle, then carries a client to a local port.
#pragma once

#include "connector/http_page.h"
#include "connector/mappings.h"
#include "core/encoding.h"
#include "net/fd.h"
#include "tunnel/answer.h"
#include "tunnel/flow_header.h"
#include "tunnel/poller.h"
#include "tunnel/preface.h"
#include "tunnel/seal.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>

struct ssl_ctx_st;

namespace p2prc::connector {

class HomeFlow;

// What to do with a client: refuse it, or dial a port and perhaps terminate its TLS.
struct Resolved {
    tunnel::Answer answer = tunnel::Answer::UnknownMapping;
    std::uint32_t mapping = 0;
    std::optional<net::Endpoint> target; // nothing: the process is not available now
    std::set<std::uint64_t> groups;      // control groups whose sockets may answer there; empty: any
    std::shared_ptr<ssl_ctx_st> tls;     // null: the application's own
    // If nobody answers: how long it is worth trying again, and what the client is told then.
    std::chrono::milliseconds hold{0};
    Trouble trouble = Trouble::NoAnswer;
};

// When an application that does not answer is dialled again: in steps that grow by half.
struct Redial {
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::milliseconds first_pause{50};
    static constexpr std::chrono::milliseconds longest_pause{500};

    Time since; // when the client began to wait
    Time again = since + first_pause;
    std::chrono::milliseconds pause = first_pause;

    void failed(Time now) {
        again = now + pause;
        pause = std::min(pause * 3 / 2, longest_pause);
    }
};

// The owner of flow connections.
class HomeFlowKeeper {
  public:
    virtual tunnel::FlowSeals& seals() = 0;
    virtual Resolved resolve(std::uint32_t mapping) = 0;
    // How the mapping's application answered a client.
    virtual void flow_answered(std::uint32_t mapping, tunnel::Answer answer) = 0;
    virtual void flow_connected(HomeFlow& flow) = 0;
    // A header has arrived: the flow connection is not idle any more, whatever the outcome.
    virtual void flow_taken(HomeFlow& flow) = 0;
    // The application has the client's first bytes and owes a reply: call accept() if that takes long.
    virtual void flow_spoken(HomeFlow& flow) = 0;
    // Nobody answers yet. False: there is no room for one more that waits.
    virtual bool flow_held(HomeFlow& flow) = 0;
    // It failed, was refused or was closed: drop it.
    virtual void flow_over(HomeFlow& flow) = 0;
    // Accepted: both sockets may be taken.
    virtual void flow_accepted(HomeFlow& flow) = 0;

  protected:
    ~HomeFlowKeeper() = default;
};

class HomeFlow final : public tunnel::PollHandler {
  public:
    using Time = std::chrono::steady_clock::time_point;
    enum class State { Connecting, Ready, Dialing, Held, Spoken, Accepted, Done };

    // `socket` is connecting to the edge.
    HomeFlow(HomeFlowKeeper& keeper, tunnel::Poller& poller, net::UniqueFd socket, tunnel::FlowId id,
             Time now)
        : keeper_(keeper)
        , poller_(poller)
        , tunnel_(std::move(socket))
        , id_(id)
        , since_(now) {}

    int socket() const noexcept { return tunnel_.get(); }
    State state() const noexcept { return state_; }
    Time since() const noexcept { return since_; }
    void drop() noexcept { state_ = State::Done; }
    // The application is not available, or has not accepted in time. If TLS is terminated here, the client
    // gets an error page; otherwise it gets a TLS alert from the edge.
    void turn_away(tunnel::Answer answer);
    // Tells the edge that the application has accepted.
    void accept() { accept(0); }

    // While it is Held, or dials again: the client waits for the application to listen.
    struct Wait {
        Redial redial;
        bool superseded = false; // the edge has sent the same client again, on another flow connection
    };
    const std::optional<Wait>& wait() const noexcept { return wait_; }
    void supersede() noexcept { wait_->superseded = true; }
    std::uint32_t mapping() const noexcept { return resolved_.mapping; }
    std::chrono::milliseconds hold() const noexcept { return resolved_.hold; }
    const net::Endpoint& client() const noexcept { return client_; }
    void end_wait(); // as if it were over
    // Dials again if it is time to, and ends the wait when it is over. `news`: p2prcd has said something new.
    void look_again(Time now, bool news);

    // After flow_accepted.
    net::UniqueFd take_tunnel() noexcept { return std::move(tunnel_); }
    net::UniqueFd take_application() noexcept { return std::move(application_); }
    bool application_polled() const noexcept { return application_polled_; }
    const std::shared_ptr<ssl_ctx_st>& tls() const noexcept { return resolved_.tls; }
    std::string take_received() noexcept { return std::move(received_); } // the client's first bytes
    // The other end of `application`, if an error page is to be served instead; trouble() says which one.
    net::UniqueFd take_page() noexcept { return std::move(page_); }
    Trouble trouble() const noexcept { return trouble_; }

    void on_ready(unsigned which, std::uint32_t events) override;

  private:
    void connected();
    void read_header();
    void refuse(tunnel::Answer answer);
    void dial();
    void dialled();
    void nobody_answers();
    bool watch_application();
    void speak();
    void accept(int send_flags);

    HomeFlowKeeper& keeper_;
    tunnel::Poller& poller_;
    net::UniqueFd tunnel_;      // which 0
    net::UniqueFd application_; // which 1
    tunnel::FlowId id_;
    Time since_;
    State state_ = State::Connecting;
    bool application_polled_ = false;
    std::string received_; // empty while idle
    Resolved resolved_;
    net::Endpoint client_;
    std::optional<Wait> wait_;
    net::UniqueFd page_;
    Trouble trouble_ = Trouble::NoAnswer;
};

} // namespace p2prc::connector

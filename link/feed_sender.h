// Sends the registry's feed to a member, as fast as the member reads.
#pragma once

#include "link/feed.h"
#include "link/session.h"
#include "net/event.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <list>
#include <memory>
#include <variant>
#include <vector>

namespace p2prc::link {

// A document is made when the session has sent most of what it had: a whole state is never on its way as a
// whole, however large it is. Lives as long as something waits.
class FeedSender : public std::enable_shared_from_this<FeedSender> {
  public:
    FeedSender(boost::asio::any_io_executor executor, std::shared_ptr<Session> session);

    void push(std::shared_ptr<const state::FeedStep> step);
    void push(Json document);
    // Returns when all that was pushed before is in the session's hands, or the session is at its end: what
    // is sent after that comes after it.
    boost::asio::awaitable<void> caught_up();

  private:
    using Step = std::variant<FeedWriter, Json>;
    struct Waiting {
        Step step;
        std::size_t bytes; // of changes
    };
    struct Waiter {
        std::uint64_t until; // so many steps are done
        std::shared_ptr<net::Event> done;
    };
    void push_step(Step step, std::size_t bytes);
    bool send_some();
    boost::asio::awaitable<void> send_all(std::shared_ptr<FeedSender> self);
    void wake();

    boost::asio::any_io_executor executor_;
    std::shared_ptr<Session> session_;
    std::list<Waiting> steps_; // an empty std::deque would take half a kilobyte, in each of a thousand links
    std::size_t bytes_ = 0;    // of changes that wait
    std::uint64_t done_ = 0;
    std::vector<Waiter> waiters_;
    bool sending_ = false;
};

} // namespace p2prc::link

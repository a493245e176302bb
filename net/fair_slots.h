// Limits what is under way at the same time, and has those who wait take turns by a key, such as a node's
// name.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace p2prc::net {

// `count` slots, of which one key holds `each` at most. A slot that becomes free goes to the next key in
// turn: however many wait with one key, another key waits for one of them at most before its own turn comes.
// Those with the same key are served in the order in which they came. One thread only.
class FairSlots {
    struct State;

  public:
    FairSlots(std::size_t count, std::size_t each);
    ~FairSlots();
    FairSlots(const FairSlots&) = delete;
    FairSlots& operator=(const FairSlots&) = delete;

    // Holds one slot until it is destroyed. It may outlive the slots.
    class Holder {
      public:
        Holder(Holder&& other) noexcept = default;
        Holder& operator=(Holder&&) = delete;
        ~Holder();

      private:
        friend class FairSlots;
        Holder(std::weak_ptr<State> slots, std::string key)
            : slots_(std::move(slots))
            , key_(std::move(key)) {}
        std::weak_ptr<State> slots_; // empty: moved from
        std::string key_;
    };

    // Calls `go` with a slot: at once where one is free, or else when it is the caller's turn.
    void enter(const std::string& key, std::function<void(Holder)> go);
    // The same for a coroutine.
    boost::asio::awaitable<Holder> acquire(std::string key);
    // How many wait with this key.
    std::size_t waiting(const std::string& key) const;

  private:
    std::shared_ptr<State> state_;
};

} // namespace p2prc::net

#include "net/fair_slots.h"

#include "net/asio.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <deque>
#include <map>
#include <optional>

namespace p2prc::net {

namespace asio = boost::asio;

struct FairSlots::State : std::enable_shared_from_this<State> {
    struct Key {
        std::size_t held = 0;
        std::deque<std::function<void(Holder)>> waiting;
        bool in_turn = false; // it is in `turns`
    };

    // Those that wait and hold less than their share, next one first.
    void queue(const std::string& name, Key& key) {
        if (key.in_turn || key.waiting.empty() || key.held >= each) return;
        key.in_turn = true;
        turns.push_back(name);
    }

    void serve() {
        if (serving) return; // what is called below came back here: the loop that called it goes on
        serving = true;
        const std::unique_ptr<bool, void (*)(bool*)> done(&serving, [](bool* flag) { *flag = false; });
        while (taken < count && !turns.empty()) {
            auto name = std::move(turns.front());
            turns.pop_front();
            auto& key = keys[name];
            const auto go = std::move(key.waiting.front());
            key.waiting.pop_front();
            ++taken;
            ++key.held;
            key.in_turn = false;
            queue(name, key);
            go(Holder(weak_from_this(), std::move(name)));
        }
    }

    void release(const std::string& name) {
        --taken;
        const auto it = keys.find(name);
        --it->second.held;
        queue(name, it->second);
        if (it->second.held == 0 && it->second.waiting.empty()) keys.erase(it);
        serve();
    }

    std::size_t count;
    std::size_t each;
    std::size_t taken = 0;
    std::map<std::string, Key> keys; // that hold a slot or wait for one
    std::deque<std::string> turns;
    bool serving = false;
};

FairSlots::Holder::~Holder() {
    if (const auto slots = slots_.lock()) slots->release(key_);
}

FairSlots::FairSlots(std::size_t count, std::size_t each) : state_(std::make_shared<State>()) {
    state_->count = count;
    state_->each = each;
}

FairSlots::~FairSlots() = default;

void FairSlots::enter(const std::string& name, std::function<void(Holder)> go) {
    const auto state = state_;
    auto& key = state->keys[name];
    key.waiting.push_back(std::move(go));
    state->queue(name, key);
    state->serve();
}

asio::awaitable<FairSlots::Holder> FairSlots::acquire(std::string key) {
    struct Turn {
        asio::steady_timer timer;
        std::optional<Holder> slot;
    };
    const auto executor = co_await asio::this_coro::executor;
    const auto turn = std::make_shared<Turn>(
        Turn{asio::steady_timer(executor, asio::steady_timer::time_point::max()), std::nullopt});
    enter(key, [turn](Holder slot) {
        turn->slot.emplace(std::move(slot));
        turn->timer.cancel();
    });
    while (!turn->slot)
        co_await turn->timer.async_wait(as_result);
    co_return std::move(*turn->slot);
}

std::size_t FairSlots::waiting(const std::string& key) const {
    const auto it = state_->keys.find(key);
    return it == state_->keys.end() ? 0 : it->second.waiting.size();
}

} // namespace p2prc::net

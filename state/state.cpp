#include "state/state.h"

#include "core/callback.h"
#include "core/keys.h"
#include "state/fleet_state.h"

#include <algorithm>
#include <utility>

namespace p2prc::state {

struct State::Subscriber {
    std::string prefix;
    ChangeCallback callback;
    bool active = true;
};

namespace {

// What a Subscription holds: letting go silences the subscriber even when it is being delivered to.
template <class T>
struct Token {
    std::shared_ptr<T> subscriber;
    explicit Token(std::shared_ptr<T> s) : subscriber(std::move(s)) {}
    Token(const Token&) = delete;
    Token& operator=(const Token&) = delete;
    ~Token() { subscriber->active = false; }
};

// Most transactions have one change, or changes of one family: they are told without a copy.
void tell_those_below(const std::string& prefix, std::span<const Change> changes,
                      const ChangeCallback& callback) {
    const auto below = [&](const Change& change) { return change.key.starts_with(prefix); };
    const auto count = static_cast<std::size_t>(std::ranges::count_if(changes, below));
    if (count == 0) return;
    if (count == changes.size()) return callback(changes);
    std::vector<Change> wanted;
    wanted.reserve(count);
    std::ranges::copy_if(changes, std::back_inserter(wanted), below);
    callback(wanted);
}

} // namespace

namespace {

// Those that there are many of, and that are read seldom or as records.
bool is_held_as_text(std::string_view key) {
    return FleetState::keeps_record_of(key) || key.starts_with(keys::infos) ||
           key.starts_with(keys::certificates) || key.starts_with(keys::servings);
}

} // namespace

Document::Document(std::string_view key, Json value) {
    if (is_held_as_text(key))
        held_ = SharedDocument::of(key, document_text(value), value);
    else
        held_ = std::make_shared<const Json>(std::move(value));
}

std::shared_ptr<const Json> Document::read() const {
    if (const auto document = shared()) return std::make_shared<const Json>(document->read());
    return std::get<std::shared_ptr<const Json>>(held_);
}

std::string Document::text() const {
    if (const auto document = shared()) return document->text();
    return document_text(*std::get<std::shared_ptr<const Json>>(held_));
}

SharedDocument::Pointer Document::shared() const {
    const auto* document = std::get_if<SharedDocument::Pointer>(&held_);
    return document ? *document : nullptr;
}

bool operator==(const Document& one, const Document& other) {
    const auto a = one.shared(), b = other.shared();
    if (a || b) return a == b || one.text() == other.text();
    return *one.read() == *other.read();
}

State::State() : records_(std::make_unique<FleetState>()) {}
State::~State() = default;

std::shared_ptr<const Json> State::get(std::string_view key) const {
    const auto it = entries_.find(key);
    return it == entries_.end() ? nullptr : it->second.document.read();
}

std::vector<std::pair<std::string_view, std::shared_ptr<const Json>>>
State::range(std::string_view prefix) const {
    std::vector<std::pair<std::string_view, std::shared_ptr<const Json>>> found;
    for (auto it = entries_.lower_bound(prefix); it != entries_.end() && it->first.starts_with(prefix); ++it)
        found.emplace_back(it->first, it->second.document.read());
    return found;
}

Subscription State::subscribe(std::string prefix, ChangeCallback callback) {
    auto subscriber = std::make_shared<Subscriber>(Subscriber{std::move(prefix), std::move(callback), true});
    std::erase_if(subscribers_, [](const auto& weak) { return weak.expired(); });
    subscribers_.push_back(subscriber);
    return Subscription(std::make_shared<Token<Subscriber>>(std::move(subscriber)));
}

std::vector<Change> State::merge(std::vector<Change> changes) {
    std::vector<Change> effective;
    for (auto& change : changes) {
        const auto it = entries_.find(change.key);
        if (change.value) {
            Entry entry{Document(change.key, *change.value), change.revision};
            if (it != entries_.end() && it->second.document == entry.document) {
                entries_.value_at(it).revision = change.revision;
                continue;
            }
            const auto shared = entry.document.shared();
            if (it != entries_.end()) {
                change.before = *it->second.document.read();
                entries_.value_at(it) = std::move(entry);
            } else {
                entries_.insert({change.key, std::move(entry)});
            }
            records_->put(change.key, *change.value, shared);
        } else {
            if (it == entries_.end()) continue;
            change.before = *it->second.document.read();
            entries_.erase(it);
            records_->erase(change.key);
        }
        effective.push_back(std::move(change));
    }
    return effective;
}

void State::tell(std::vector<Change> changes) {
    if (changes.empty()) return;
    undelivered_.push_back(std::move(changes));
    deliver();
}

void State::deliver() {
    if (delivering_) return; // a callback wrote: its transaction waits for its turn
    delivering_ = true;
    while (!undelivered_.empty()) {
        const auto changes = std::move(undelivered_.front());
        undelivered_.erase(undelivered_.begin());
        const auto subscribers = subscribers_; // those that subscribe meanwhile have read the map
        for (const auto& weak : subscribers) {
            const auto subscriber = weak.lock();
            if (!subscriber || !subscriber->active) continue;
            // What fails in one of them is not the others', and the next changes are told all the same.
            guard_callback("a reader of changes of the state", false, [&] {
                tell_those_below(subscriber->prefix, changes, subscriber->callback);
                return true;
            });
        }
    }
    delivering_ = false;
}

void State::load(Entries entries, std::uint64_t revision) {
    entries_ = std::move(entries);
    records_->clear();
    for (const auto& [key, entry] : entries_) {
        const auto shared = entry.document.shared();
        if (shared && shared->is_record())
            records_->put(key, shared);
        else
            records_->put(key, *entry.document.read(), shared);
    }
    revision_ = revision;
}

} // namespace p2prc::state

// An ordered map of documents with subscriptions: what replica and own state have in common.
//
// Used on the daemon's executor only. Changes are applied a transaction at a time: neither a reader nor a
// subscriber ever sees half of one.
#pragma once

#include "core/block_set.h"
#include "core/json.h"
#include "state/shared_document.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace p2prc::state {

class FleetState;

struct Change {
    std::string key;
    std::optional<Json> value; // nothing: deleted
    std::uint64_t revision = 0;
    std::optional<Json> before = {}; // told to subscribers: the value so far; nothing: there was none
    friend bool operator==(const Change& one, const Change& other) {
        return one.key == other.key && one.value == other.value && one.revision == other.revision;
    }
};

// A document in the map. A parsed one takes five times the memory of its text: those that a root has tens of
// thousands of, or whose record is kept beside them (FleetState) and read instead, are held as shared ones.
class Document {
  public:
    // Of `key`, which decides how it is held.
    Document(std::string_view key, Json value);

    std::shared_ptr<const Json> read() const;
    std::string text() const;               // as it is written to disk
    SharedDocument::Pointer shared() const; // nullptr: it is held parsed
    friend bool operator==(const Document& one, const Document& other);

  private:
    std::variant<std::shared_ptr<const Json>, SharedDocument::Pointer> held_;
};

struct Entry {
    Document document;
    std::uint64_t revision = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
};

// Called with the changes of one transaction below the prefix, after all of it is in the map.
using ChangeCallback = std::function<void(std::span<const Change>)>;

// Ends the subscription when it goes; it may outlive the state.
class Subscription {
  public:
    Subscription() = default;
    explicit Subscription(std::shared_ptr<void> token) : token_(std::move(token)) {}
    void reset() { token_.reset(); }
    explicit operator bool() const { return token_ != nullptr; }

  private:
    std::shared_ptr<void> token_;
};

class State {
  public:
    State();
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    // As it is now, whatever comes later; nullptr when there is no such key.
    std::shared_ptr<const Json> get(std::string_view key) const;
    bool contains(std::string_view key) const { return entries_.contains(key); }
    // Keys that begin with `prefix`, in order. They are valid until the state changes.
    std::vector<std::pair<std::string_view, std::shared_ptr<const Json>>>
    range(std::string_view prefix) const;
    using Entries = BlockMap<Entry>; // by key
    const Entries& entries() const { return entries_; }
    std::uint64_t revision() const { return revision_; }
    // The same as records, which need not be read again. Changes with the map.
    const FleetState& records() const { return *records_; }

    // The callback may read, subscribe, end subscriptions and write; what it writes is delivered after the
    // transaction that it was called for.
    [[nodiscard]] Subscription subscribe(std::string prefix, ChangeCallback callback);

  protected:
    ~State();
    // Puts the changes into the map; returns those that do change something. Nobody is told yet, so that they
    // can be on their way to the disk before a subscriber writes again.
    std::vector<Change> merge(std::vector<Change> changes);
    void advance(std::uint64_t revision) { revision_ = revision; }
    void tell(std::vector<Change> changes);
    void load(Entries entries, std::uint64_t revision);

  private:
    struct Subscriber;
    void deliver();

    Entries entries_;
    std::unique_ptr<FleetState> records_;
    std::uint64_t revision_ = 0;
    std::vector<std::weak_ptr<Subscriber>> subscribers_;
    std::vector<std::vector<Change>> undelivered_;
    bool delivering_ = false;
};

} // namespace p2prc::state

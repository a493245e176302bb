// A record as its document says it, and whether the gate accepts it.
#pragma once

#include "core/records.h"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <string_view>
#include <utility>

namespace p2prc::state {

template <class Record>
struct EntryOf {
    Record record;
    std::shared_ptr<const Error> refused = {}; // by the gate (core/gate.h)
    bool readable = true; // false: no more of `record` is meant than its name, its id and its node

    const Record* accepted() const { return refused ? nullptr : &record; }
    const Record* read() const { return readable ? &record : nullptr; }
};

using FleetEntry = EntryOf<FleetRecord>;
using ProcessEntry = EntryOf<ProcessRecord>;
using DomainEntry = EntryOf<DomainRecord>;
using NodeEntry = EntryOf<NodeRecord>;
using TombstoneEntry = EntryOf<Tombstone>;

// Through the gate; what that refuses is read as far as it can be.
template <class Record>
EntryOf<Record> read_entry(std::string_view key, const nlohmann::json& document,
                           Result<Record> (*accept)(std::string_view, const nlohmann::json&),
                           Result<Record> (*read_tolerantly)(const nlohmann::json&)) {
    auto accepted = accept(key, document);
    if (accepted) return {std::move(*accepted)};
    auto record = read_tolerantly(document);
    const bool readable = record.has_value();
    return {readable ? std::move(*record) : Record{}, std::make_shared<const Error>(accepted.error()),
            readable};
}

} // namespace p2prc::state

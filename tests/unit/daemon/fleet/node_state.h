// A replica and an own state on disk, of node "home", and what stands in them.
#pragma once

#include "core/process_status.h"
#include "core/records.h"
#include "state/disk.h"
#include "state/own_state.h"
#include "state/replica.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace p2prc::daemon::test {

class NodeStateTest : public testing::Test {
  protected:
    NodeStateTest()
        : replica(std::move(*state::Replica::open((directory.path() / "replica.db").string(), disk)))
        , own(std::move(*state::OwnState::open((directory.path() / "own.db").string(), disk))) {}

    static state::Change fleet(const char* id = "f1") {
        FleetRecord record;
        record.id = id;
        return {std::string(keys::fleet), to_json(record), 1};
    }
    static ProcessRecord process_record(std::uint32_t id, const std::string& name,
                                        const char* node = "home") {
        ProcessRecord made;
        made.id = id;
        made.name = made.spec.name = name;
        made.node = node;
        made.spec.run.command = {"/bin/true"};
        return made;
    }
    static nlohmann::json record(std::uint32_t id, const std::string& name, const char* node = "home") {
        return to_json(process_record(id, name, node));
    }
    void report(ProcessStatus status) {
        own->set(keys::status(status.node, status.id), status_to_json(status));
    }
    static ProcessStatus status(std::uint32_t id, const std::string& name, ProcessState state,
                                const char* node = "home") {
        ProcessStatus made;
        made.id = id;
        made.name = name;
        made.node = node;
        made.state = state;
        return made;
    }
    std::vector<std::string> keys_of(std::string_view prefix) const {
        std::vector<std::string> keys;
        for (const auto& [key, document] : own->range(prefix))
            keys.emplace_back(key);
        return keys;
    }

    net::TemporaryDirectory directory;
    state::Disk disk;
    std::unique_ptr<state::Replica> replica;
    std::unique_ptr<state::OwnState> own;
};

} // namespace p2prc::daemon::test

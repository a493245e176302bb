// Records of this node that the gate does not let in, or that have the id of another process: never acted
// upon, and never passed over in silence.
#pragma once

#include "process/supervision.h"

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

class RefusedRecords {
  public:
    // `node` must outlive it. `runs`: whether a unit of that id runs.
    RefusedRecords(Supervision& node, std::function<bool(std::uint32_t id)> runs)
        : node_(node)
        , runs_(std::move(runs)) {}

    // What is refused has a status, where its id is not that of something else here, and a line in the
    // journal. `name` is what its key says.
    void judge(std::string_view name);
    void judge_all();
    // The statuses of those that are gone, or in order by now.
    void forget();
    // The names of those whose id no other process has any more.
    std::vector<std::string> no_longer_held();

  private:
    void judge_id(const ProcessRecord& record);

    Supervision& node_;
    std::function<bool(std::uint32_t id)> runs_;
    std::set<std::string> held_; // processes whose id another one has
};

} // namespace p2prc::process

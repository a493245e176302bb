// The unit in which a deployer runs for a process.
#pragma once

#include "core/deployer_class.h"
#include "process/transient_unit.h"

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

std::string deploy_unit_name(std::string_view process_name);

// One run of a deployer.
struct DeployRun {
    std::string program;
    DeployerClass as = DeployerClass::Process;
    bool network = true;
    std::vector<std::string> groups = {};
    std::chrono::seconds timeout{0};
    std::string place;                                   // its directory, below /var/lib
    std::string work = {};                               // of a builder: where it is until it is whole
    std::string cache = {};                              // of a builder
    std::string previous = {};                           // that of the result before; empty: none
    std::map<std::string, std::string> environment = {}; // beside that of the process
    std::shared_ptr<const net::UniqueFd> script = nullptr;
};

// A unit that runs a deployer for `record`'s process on `node`. As `process` it has the process's user, data,
// environment, limits and sandbox, but none of its credentials. It writes its result into `place`, which
// systemd makes. As `builder` it has a user and a sandbox, but nothing of the process, and writes into
// `work`; when it is done the result is moved to `place`, where no other builder can come to it. Its lines in
// the journal have the fields of the process; it is not in the slice as a unit that systemd lists for us, so
// nobody takes it for the process.
Result<TransientUnit> deploy_unit(const ProcessRecord& record, std::string_view node, Origin origin,
                                  const DeployRun& run);

} // namespace p2prc::process

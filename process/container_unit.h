// The units of a process that podman runs, from an image that its deployer has named: CONTAINER= of its
// result. The container is in the control group of the process's own unit, and so are its limits, its end and
// its accounting.
//
// Pure, as transient_unit.h is. podman and what it keeps are of p2prc alone: see deployers/p2prc-podman.
#pragma once

#include "process/deployed.h"
#include "process/transient_unit.h"
#include "process/unit_names.h"

#include <filesystem>
#include <set>
#include <string>
#include <string_view>

namespace p2prc::process {

// "p2prc-web" and "p2prc-web_2", by which of its units runs it.
std::string container_name(std::string_view process_name, Turn turn);

// `record` as helpers beside its container run: as the superuser, whose files its data are.
ProcessRecord as_superuser(ProcessRecord record);

// The unit that serves. InvalidSpec as transient_unit().
Result<TransientUnit> container_unit(const ProcessRecord& record, const Deployed& deployed, Turn turn,
                                     std::string_view node, Origin origin, Attempt attempt = Attempt::First);

// Runs the command of `probe` in the container.
Result<TransientUnit> container_probe_unit(const ProcessRecord& record, Turn turn, Origin origin,
                                           const Probe& probe);

std::string container_removal_unit_name(std::string_view process_name);
// Removes what is left of its containers, of which none runs: after a power cut podman still knows them.
Result<TransientUnit> container_removal_unit(std::string_view process_name);

// Removes containers that no unit runs, and images but for those `kept`, by their ids, and what these are
// made of. Its output is a line with the bytes that are free since. `store`: what podman keeps.
Result<TransientUnit> container_cleaning_unit(const std::filesystem::path& store,
                                              const std::set<std::string>& kept);

} // namespace p2prc::process

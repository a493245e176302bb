#include "core/logs_command.h"

#include <fmt/format.h>

namespace p2prc {

std::string logs_command(std::string_view process, StopKind kind) {
    return fmt::format("p2prc logs {}{}", process, kind == StopKind::DeployFailed ? " --deploy" : "");
}

} // namespace p2prc

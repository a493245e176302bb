#include "process/helper_sandbox.h"

#include <utility>

namespace p2prc::process {

using nlohmann::json;

std::vector<UnitProperty> helper_sandbox(std::string description, json writable) {
    return {
        {"Description", "s", std::move(description)},
        {"CollectMode", "s", "inactive-or-failed"},
        {"SyslogIdentifier", "s", "p2prcd"},
        {"NoNewPrivileges", "b", true},
        {"ProtectSystem", "s", "strict"},
        {"ReadWritePaths", "as", std::move(writable)},
        {"ProtectHome", "s", "yes"},
        {"PrivateTmp", "b", true},
        {"PrivateDevices", "b", true},
        {"ProtectKernelTunables", "b", true},
        {"ProtectKernelModules", "b", true},
        {"ProtectControlGroups", "b", true},
        {"RestrictSUIDSGID", "b", true},
        {"LockPersonality", "b", true},
        {"SystemCallArchitectures", "as", json::array({"native"})},
        {"RestrictAddressFamilies", "(bas)", json::array({true, json::array({"AF_UNIX"})})},
    };
}

} // namespace p2prc::process

#include "core/remote_spin.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc {

std::string_view remote_spin_name(RemoteSpin policy) noexcept {
    switch (policy) {
    case RemoteSpin::Sandboxed:
        return "sandboxed";
    case RemoteSpin::Any:
        return "any";
    case RemoteSpin::No:
        break;
    }
    return "no";
}

RemoteSpin remote_spin_of(std::string_view name) noexcept {
    for (const auto policy : {RemoteSpin::Sandboxed, RemoteSpin::Any})
        if (name == remote_spin_name(policy)) return policy;
    return RemoteSpin::No;
}

namespace {

// On that node, not on the one where this is read.
std::string what_to_do(std::string_view node, RemoteSpin suffices) {
    return fmt::format("run p2prc spin on {0} itself, or let its owner write spin = \"{1}\" below "
                       "[remote] in /etc/p2prc/p2prcd.toml on {0} (then: systemctl reload p2prcd)",
                       node, remote_spin_name(suffices));
}

// What only a node that trusts the others with it sets for them; nullptr: nothing.
const char* beyond_the_sandbox(const ProcessSpec& spec) {
    return !spec.run.user.empty()                         ? "run.user"
           : !spec.run.root.empty()                       ? "run.root"
           : !spec.run.credentials.empty()                ? "run.credentials"
           : is_by(spec.ready.probe, Probe::Kind::Notify) ? "ready.notify"
                                                          : nullptr;
}

} // namespace

Result<void> check_remote_deployer(RemoteSpin policy, std::span<const std::string> admitted, DeployerClass as,
                                   const ProcessSpec& spec, std::string_view node) {
    if (policy == RemoteSpin::Any || as == DeployerClass::Process) return {};
    const auto& deployer = spec.deploy.strategy;
    if (as == DeployerClass::Builder) {
        if (std::ranges::find(admitted, deployer) != admitted.end()) return {};
        return fail(
            ErrorCode::NotPermitted,
            fmt::format("node '{}' does not run the deployer '{}' of '{}' for other nodes: "
                        "`[remote] deployers` there does not name it",
                        node, deployer, spec.name),
            fmt::format("run p2prc spin on {0} itself, or let its owner add \"{1}\" to deployers "
                        "below [remote] in /etc/p2prc/p2prcd.toml on {0} (then: systemctl reload p2prcd)",
                        node, deployer));
    }
    return fail(
        ErrorCode::NotPermitted,
        fmt::format("node '{}' runs processes of other nodes in a sandbox only, and deploy.strategy of "
                    "'{}' names the deployer '{}', which runs as root",
                    node, spec.name, deployer),
        what_to_do(node, RemoteSpin::Any));
}

Result<void> check_remote_spin(RemoteSpin policy, const ProcessSpec& spec, std::string_view node) {
    if (policy == RemoteSpin::Any) return {};
    const auto* refused = beyond_the_sandbox(spec);
    const auto hint = what_to_do(node, refused ? RemoteSpin::Any : RemoteSpin::Sandboxed);
    if (policy == RemoteSpin::No)
        return fail(ErrorCode::NotPermitted, fmt::format("node '{}' runs no processes for other nodes", node),
                    hint);
    if (!refused) return {};
    return fail(ErrorCode::NotPermitted,
                fmt::format("node '{}' runs processes of other nodes in a sandbox only, and '{}' sets {}",
                            node, spec.name, refused),
                fmt::format("leave {} out, or {}", refused, hint));
}

} // namespace p2prc

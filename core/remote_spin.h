// What a node lets users of other nodes spin on it: `[remote] spin` of its p2prcd.toml.
#pragma once

#include "core/deployer_class.h"
#include "core/error.h"
#include "core/process_spec.h"

#include <span>
#include <string>
#include <string_view>

namespace p2prc {

enum class RemoteSpin { Sandboxed, Any, No };

std::string_view remote_spin_name(RemoteSpin policy) noexcept;
// A name that this version does not know is No, the strictest.
RemoteSpin remote_spin_of(std::string_view name) noexcept;

// NotPermitted when `policy` does not let another node spin `spec` on `node`. `sandboxed` refuses `user`
// (whose files it could write), `root` (by which it could come to what is in a closed directory),
// `credentials` (which PID 1 reads as root, whatever their permissions) and `ready.notify` (PID 1 logs what
// it does not understand of a notification, a line each, and is asked by the same socket for more time to
// end).
//
// Two ask: the registry, so that the caller learns of it before anything is written, and the node itself
// before it runs anything, because a registry elsewhere is not believed about it.
Result<void> check_remote_spin(RemoteSpin policy, const ProcessSpec& spec, std::string_view node);

// The same of the deployer that `spec` names: `sandboxed` refuses one that runs as the superuser, and
// builders but for those that are `admitted`, by `[remote] deployers` of its p2prcd.toml.
Result<void> check_remote_deployer(RemoteSpin policy, std::span<const std::string> admitted, DeployerClass as,
                                   const ProcessSpec& spec, std::string_view node);

} // namespace p2prc

#include "core/deployer_fit.h"

namespace p2prc {

std::optional<Misfit> misfit_in_container(const ProcessSpec& spec) {
    if (!spec.run.user.empty())
        return Misfit{"run.user", "is not for a container: its image says as whom it runs",
                      "leave run.user out; USER in a Containerfile sets it"};
    if (!spec.run.root.empty())
        return Misfit{"run.root", "is not for a container, which has a root of its own",
                      "leave run.root out"};
    if (!spec.run.kill.empty())
        return Misfit{"run.kill", "is not for a container: it would run outside of that",
                      "leave run.kill out; the STOPSIGNAL of its image is sent"};
    if (is_by(spec.ready.probe, Probe::Kind::Notify))
        return Misfit{"ready.notify", "is not for a container: not in this version",
                      "ask by ready.http, ready.port or ready.command"};
    return std::nullopt;
}

std::optional<Misfit> misfit_in_root(const ProcessSpec& spec) {
    if (!spec.run.root.empty())
        return Misfit{"run.root", "is not for a process whose deployer makes a root for it",
                      "leave run.root out"};
    if (!spec.run.kill.empty())
        return Misfit{"run.kill",
                      "is not for a process whose deployer makes a root for it: it would run outside of that",
                      "leave run.kill out; SIGTERM is sent"};
    return std::nullopt;
}

std::optional<Misfit> misfit_of_deployer(const ProcessSpec& spec) {
    if (spec.deploy.strategy == "container") return misfit_in_container(spec);
    if (spec.deploy.strategy == "image") return misfit_in_root(spec);
    return std::nullopt;
}

} // namespace p2prc

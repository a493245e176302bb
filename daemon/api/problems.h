// The problems of the fleet: each cause once, with everything that is down because of it.
#pragma once

#include "daemon/api/view.h"
#include "registry/gateway.h"

#include <string>
#include <vector>

namespace p2prc::daemon {

struct Problem {
    bool down = true;                 // something does not work; otherwise it will, or is not as it should be
    std::string subject;              // "node attic", "domain web.home.example": what the cause is about
    std::string cause;                // one sentence
    std::string hint;                 // what to do
    std::string since;                // RFC 3339; empty when it is not known
    std::vector<std::string> affects; // "process web", "domain web.home.example", "node attic"
};

// In the order of causes: what others depend on first.
std::vector<Problem> find_problems(const View& view, const registry::Gateway& gateway);
// Whether a node's tunnel has not been up yet since its p2prcd began or it joined, a moment ago. One that was
// lost is down at once.
bool tunnel_is_connecting(const View& view, const std::string& node);
// [{severity: "down"|"warning", subject, cause, hint, since, affects}]
Json to_json(const std::vector<Problem>& problems);

} // namespace p2prc::daemon

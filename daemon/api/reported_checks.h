// What nodes report of their own machines (daemon/fleet/node_checks.h), and what to do about it.
#pragma once

#include "daemon/api/view.h"

#include <string>
#include <vector>

namespace p2prc::daemon {

struct ReportedCheck {
    std::string state; // "ok", "warn", "fail"
    std::string subject;
    std::string detail;
    std::string fix; // by the subject; "p2prc doctor" for one of a later version
};

// The checks of `node`, shortened: a node may send any number, of any length. What a person is to type does
// not come from it.
std::vector<ReportedCheck> reported_checks(const View& view, const std::string& node);

} // namespace p2prc::daemon

// One finding of `p2prc doctor`: what was checked, its state, and how to fix it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <string>
#include <vector>

namespace p2prc::cli {

enum class CheckState { Ok, Warn, Fail };

struct Finding {
    CheckState state = CheckState::Ok;
    std::string subject; // "port 443", "dns home.example"
    std::string detail;
    std::string fix;                       // empty when there is nothing to fix
    std::vector<std::string> affects = {}; // "process web", "domain web.home.example"
    std::string because = {};              // subject of the finding that explains this one
};
using Findings = std::vector<Finding>;

// What the daemon answers to Facts; an empty object while it does not answer.
using Facts = nlohmann::json;

// Whether this node has the fleet's public side. A standalone node has none.
bool is_public_root(const Facts& facts);
bool in_fleet(const Facts& facts);

// What cannot be judged while the daemon does not answer.
Finding unknown(const char* subject);

// Each looks at one thing and returns at least one finding. They run side by side and share nothing.
Findings check_link(const Facts& facts);
Findings
check_fleet(const Facts& facts);        // nodes, processes, domains: what every node knows of the whole fleet
Findings check_dns(const Facts& facts); // delegation of the zone, asked as the world would
Findings check_ports(const Facts& facts); // who holds 443, 80 and 53 on the root
Findings check_units(const Facts& facts); // p2prcd, edge and connector under systemd
Findings check_disk(const Facts& facts);
Findings check_clock(const Facts& facts);

// What the name server at `address` answered about the zone; `error` is empty when it did. One of an address
// family that this machine does not have is nothing to mend while another one answers.
Finding judge_name_server(const std::string& zone, const std::string& address, const std::string& error,
                          bool route, bool another_answers);

// Causes before what follows from them, what fails first: each finding that another one explains stands below
// that one, and names it.
Findings in_order(Findings findings);

} // namespace p2prc::cli

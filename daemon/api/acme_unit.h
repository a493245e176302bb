// The ACME client's run for one domain, as a transient unit of the connector's user.
#pragma once

#include "process/systemd.h"
#include "process/transient_unit.h"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

namespace p2prc::daemon {

// "p2prcd-acme-calendar.home.example.service", "p2prcd-acme-wildcard:home.example.service"; a domain that is
// too long is cut, and its digest added. Each domain has a name of its own.
std::string acme_unit_name(const std::string& domain);

// Runs uacme(1), which makes an account when it has none and calls the connector's hook for the challenge.
std::vector<process::UnitProperty> acme_unit(const std::string& domain, const std::string& directory_url);

// Returns when the client is done; Failed says where its words are. `systemd` must outlive it.
boost::asio::awaitable<Result<void>> run_acme(process::Systemd& systemd, std::string domain,
                                              std::string directory_url);

} // namespace p2prc::daemon

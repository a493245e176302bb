#include "daemon/api/acme_unit.h"

#include "core/encoding.h"
#include "core/paths.h"

#include <cerrno>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

// uacme(1) drops the star from its files' names: a wildcard's would be those of the name below it.
constexpr const char* directory_of_names = "/var/lib/p2prc-connector/acme";
constexpr const char* directory_of_wildcards = "/var/lib/p2prc-connector/acme-wildcard";
constexpr std::uint64_t second = 1000000;
constexpr std::uint64_t clone_newcgroup = 0x02000000; // clone(2)
// Shorter than the time for which jobs are waited for.
constexpr const char* client = paths::uacme;
constexpr std::uint64_t client_limit = 140 * second;

// An ExecStartEx entry. No variable is expanded in it: domain and address are data.
nlohmann::json command(nlohmann::json argv, bool may_fail) {
    auto flags = nlohmann::json::array({"no-env-expand"});
    if (may_fail) flags.push_back("ignore-failure");
    return nlohmann::json::array({client, std::move(argv), std::move(flags)});
}

} // namespace

std::string acme_unit_name(const std::string& domain) {
    constexpr std::size_t longest = 200; // a unit's name has 255 octets at most, a domain 253
    constexpr std::size_t digits = 32;
    // No domain has a colon: neither name can be that of another domain.
    std::string name = domain.starts_with("*.") ? "wildcard:" + domain.substr(2) : domain;
    if (name.size() > longest)
        name = name.substr(0, longest) + ":" + to_hex(sha256(as_bytes(domain))).substr(0, digits);
    return "p2prcd-acme-" + name + ".service";
}

std::vector<process::UnitProperty> acme_unit(const std::string& domain, const std::string& directory_url) {
    using Json = nlohmann::json;
    const auto hook = std::string(paths::libexec) + "/acme-hook";
    const char* directory = domain.starts_with("*.") ? directory_of_wildcards : directory_of_names;
    // Making the account fails when there is one; then `issue` decides.
    const Json account = Json::array({client, "-v", "-y", "-c", directory, "-a", directory_url, "new"});
    // When to renew is the connector's to say: forced, so that the client does not judge it again.
    const Json issue = Json::array({client, "-v", "-y", "-f", "-o", "-t", "EC", "-c", directory, "-a",
                                    directory_url, "-h", hook, "--", "issue", domain});
    return {
        {"Description", "s", "Certificate for " + domain},
        {"Environment", "as", Json::array({"P2PRC_ACME_DOMAIN=" + domain})},
        {"Type", "s", "oneshot"},
        {"CollectMode", "s", "inactive-or-failed"},
        {"User", "s", "p2prc-connector"},
        {"Group", "s", "p2prc-connector"},
        {"StateDirectory", "as", Json::array({"p2prc-connector"})},
        {"StateDirectoryMode", "u", 0700},
        {"UMask", "u", 0077},
        {"TimeoutStartUSec", "t", client_limit},
        {"SyslogIdentifier", "s", "p2prc-acme"},
        {"NoNewPrivileges", "b", true},
        {"CapabilityBoundingSet", "t", 0},
        {"ProtectSystem", "s", "strict"},
        {"ProtectHome", "s", "yes"},
        {"PrivateTmp", "b", true},
        {"PrivateDevices", "b", true},
        {"PrivateMounts", "b", true},
        {"PrivateIPC", "b", true},
        {"RemoveIPC", "b", true},
        {"DevicePolicy", "s", "closed"},
        {"ProtectProc", "s", "invisible"},
        {"ProcSubset", "s", "pid"},
        {"ProtectClock", "b", true},
        {"ProtectHostname", "b", true},
        {"ProtectKernelLogs", "b", true},
        {"ProtectKernelTunables", "b", true},
        {"ProtectKernelModules", "b", true},
        {"ProtectControlGroups", "b", true},
        {"RestrictSUIDSGID", "b", true},
        {"RestrictRealtime", "b", true},
        // None at all is lost at a reload in systemd 252; a control group namespace takes a capability.
        {"RestrictNamespaces", "t", clone_newcgroup},
        {"LockPersonality", "b", true},
        {"MemoryDenyWriteExecute", "b", true},
        {"SystemCallArchitectures", "as", Json::array({"native"})},
        {"SystemCallFilter", "(bas)", Json::array({true, Json::array({"@system-service"})})},
        {"SystemCallErrorNumber", "i", EPERM},
        {"RestrictAddressFamilies", "(bas)",
         Json::array({true, Json::array({"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"})})},
        {"ExecStartEx", "a(sasas)", Json::array({command(account, true), command(issue, false)})},
    };
}

asio::awaitable<Result<void>> run_acme(process::Systemd& systemd, std::string domain,
                                       std::string directory_url) {
    const std::string unit = acme_unit_name(domain);
    auto properties = acme_unit(domain, directory_url);
    process::JobShare share{process::JobShare::Kind::Certificates};
    const auto result = co_await systemd.start_transient(unit, std::move(properties), std::move(share));
    if (!result) co_return std::unexpected(result.error());
    if (*result != "done")
        co_return fail(ErrorCode::Failed, "no certificate came for '" + domain + "' (" + *result + ")",
                       "journalctl -u " + unit + " has the client's words");
    co_return Result<void>{};
}

} // namespace p2prc::daemon

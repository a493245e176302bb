// The zone's delegation, asked with c-ares as the rest of the world would ask.
#include "cli/doctor/check.h"
#include "cli/output.h"
#include "net/dial.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <netdb.h>
#include <nlohmann/json.hpp>
#include <sys/select.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

namespace p2prc::cli {
namespace {

constexpr int query_timeout_ms = 2000;
constexpr int tries = 2;
constexpr std::uint16_t dns_port = 53;

struct Answer {
    int status = ARES_ETIMEOUT;
    std::vector<std::string> addresses;
};

void on_addresses(void* argument, int status, int, hostent* host) {
    auto& answer = *static_cast<Answer*>(argument);
    answer.status = status;
    if (status != ARES_SUCCESS || !host) return;
    for (char** address = host->h_addr_list; *address; ++address) {
        char text[INET6_ADDRSTRLEN] = {};
        if (inet_ntop(host->h_addrtype, *address, text, sizeof text)) answer.addresses.emplace_back(text);
    }
}

void on_answer(void* argument, int status, int, unsigned char*, int) {
    static_cast<Answer*>(argument)->status = status;
}

class Resolver {
  public:
    // `server` is an address to ask instead of the machine's own resolver.
    explicit Resolver(const std::string& server = {}) {
        ares_library_init(ARES_LIB_INIT_ALL);
        ares_options options{};
        options.timeout = query_timeout_ms;
        options.tries = tries;
        ready_ =
            ares_init_options(&channel_, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) == ARES_SUCCESS &&
            (server.empty() || ares_set_servers_csv(channel_, server.c_str()) == ARES_SUCCESS);
    }
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;
    ~Resolver() {
        if (channel_) ares_destroy(channel_);
        ares_library_cleanup();
    }

    Answer addresses(const std::string& name, int family) {
        Answer answer;
        if (!ready_) return answer;
        ares_gethostbyname(channel_, name.c_str(), family, on_addresses, &answer);
        wait();
        return answer;
    }

    int soa(const std::string& name) {
        Answer answer;
        if (!ready_) return ARES_ESERVFAIL;
        ares_query(channel_, name.c_str(), ns_c_in, ns_t_soa, on_answer, &answer);
        wait();
        return answer.status;
    }

  private:
    void wait() {
        for (;;) {
            fd_set readers, writers;
            FD_ZERO(&readers);
            FD_ZERO(&writers);
            const int count = ares_fds(channel_, &readers, &writers);
            if (count == 0) return;
            timeval longest{query_timeout_ms / 1000, 0}, next{};
            select(count, &readers, &writers, nullptr, ares_timeout(channel_, &longest, &next));
            ares_process(channel_, &readers, &writers);
        }
    }

    ares_channel channel_ = nullptr;
    bool ready_ = false;
};

bool has_route(const std::string& server) {
    const auto address = net::Address::parse(server);
    return !address || net::has_route({*address, dns_port});
}

} // namespace

Finding judge_name_server(const std::string& zone, const std::string& address, const std::string& error,
                          bool route, bool another_answers) {
    const auto subject = "dns " + address;
    if (error.empty()) return {CheckState::Ok, subject, "answers for " + zone, ""};
    if (!route && another_answers)
        return {CheckState::Ok, subject, "no route there from this machine; another address answers", ""};
    return {CheckState::Fail, subject, fmt::format("no answer for {}: {}", zone, error),
            "on the root: systemctl status p2prc-edge; is port 53 (UDP and TCP) open to the Internet?"};
}

Findings check_dns(const Facts& facts) {
    if (facts.empty()) return {unknown("dns")};
    const auto fleet = facts.value("fleet", nlohmann::json::object());
    const auto zone = cell(fleet, "zone");
    if (zone == "-") return {{CheckState::Ok, "dns", "this fleet has no zone", ""}};
    const auto expected = fleet.value("public_ips", std::vector<std::string>{});
    Findings findings;
    std::vector<int> answers;
    for (const auto& address : expected)
        answers.push_back(Resolver(address).soa(zone));
    const bool any = std::ranges::count(answers, ARES_SUCCESS) > 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const auto error = answers[i] == ARES_SUCCESS ? "" : ares_strerror(answers[i]);
        findings.push_back(judge_name_server(zone, expected[i], error, has_route(expected[i]), any));
    }
    Resolver world;
    const auto name = "ns1." + zone;
    const auto v4 = world.addresses(name, AF_INET), v6 = world.addresses(name, AF_INET6);
    auto found = v4.addresses;
    found.insert(found.end(), v6.addresses.begin(), v6.addresses.end());
    const bool delegated = std::ranges::any_of(
        found, [&](const auto& a) { return std::ranges::find(expected, a) != expected.end(); });
    if (delegated) {
        findings.push_back({CheckState::Ok, "delegation of " + zone, name + " resolves to this fleet", ""});
    } else {
        findings.push_back(
            {CheckState::Fail, "delegation of " + zone,
             found.empty() ? fmt::format("{} is not found: {}", name, ares_strerror(v4.status))
                           : fmt::format("{} resolves to {}, not to the root", name, fmt::join(found, ", ")),
             fmt::format("at the registrar of {}, set NS {} and its address {}", zone, name,
                         fmt::join(expected, " and "))});
    }
    return findings;
}

} // namespace p2prc::cli

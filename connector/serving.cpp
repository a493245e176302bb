#include "connector/serving.h"

#include "net/asio.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace p2prc::connector {
namespace asio = boost::asio;
namespace {

using Clock = std::chrono::steady_clock;
using tunnel::Answer;

constexpr std::chrono::hours longest_sleep{1};

// A wildcard is probed with a name below it that nobody would map on purpose.
std::string name_to_ask(const std::string& domain) {
    return domain.starts_with("*.") ? "p2prc-probe-7d1f" + domain.substr(1) : domain;
}

std::string text_of(Answer answer, const Mapping& mapping) {
    const std::string place = net::Endpoint{mapping.address.value_or(net::Address()), mapping.port}.text();
    switch (answer) {
    case Answer::DialRefused:
        return "nothing listens on " + place;
    case Answer::DialTimeout:
        return fmt::format("the program listening on {} does not accept connections", place);
    default:
        return std::string(tunnel::answer_text(answer));
    }
}

struct Domain {
    Mapping mapping;
    std::shared_ptr<ssl_ctx_st> certificate;
    bool probing = false;
    bool arrived = false;             // the current probe has reached an application with its own TLS
    bool passed = false;              // the last probe succeeded
    int failures = 0;                 // probes in a row
    std::string trouble;              // of the last probe
    Answer answer = Answer::Accepted; // to the last client
    Clock::time_point due{};
    std::chrono::milliseconds pause{0};
    std::string told_state = "unknown", told_reason;

    bool ready() const { return mapping.address && (mapping.tls == TlsMode::Passthrough || certificate); }
    // Forgets all earlier results.
    void begin_anew() {
        passed = false;
        failures = 0;
        trouble.clear();
        answer = Answer::Accepted;
        due = {};
        pause = {};
    }
};

// What clients can expect of the process changes more often, and is no reason to probe.
bool same_target(const Mapping& before, Mapping now) {
    now.availability = before.availability;
    now.hold = before.hold;
    return now == before;
}

// An application that terminates TLS itself may answer a probe as it likes, with an alert or late, but with
// TLS. Below a wildcard, it may close the connection of a name that it does not serve.
bool speaks_tls(const Domain& domain, Visit visit) {
    if (domain.mapping.tls != TlsMode::Passthrough) return true;
    if (visit == Visit::Closed) return !domain.arrived || domain.mapping.domain.starts_with("*.");
    return visit != Visit::NotTls;
}

} // namespace

struct Serving::State : std::enable_shared_from_this<Serving::State> {
    State(asio::any_io_executor executor_, Report report_, ServingOptions options_, Probe probe_)
        : executor(executor_)
        , report(std::move(report_))
        , options(options_)
        , probe(std::move(probe_))
        , wake(executor) {}

    // Wakes run(): something new is due. Works also while run() is not waiting.
    void stir() {
        stirred = true;
        wake.cancel();
    }

    void tell(Domain& domain) {
        std::string state = "unknown", reason;
        if (domain.answer != Answer::Accepted) {
            state = "failing";
            reason = text_of(domain.answer, domain.mapping);
        } else if (domain.passed) {
            state = "ok";
        } else if (domain.ready()) {
            if (domain.failures >= options.failures) state = "failing";
            reason = domain.trouble;
        }
        if (state == domain.told_state && reason == domain.told_reason) return;
        domain.told_state = state;
        domain.told_reason = reason;
        report(domain.mapping.domain, state, reason);
    }

    void set_mappings(const MappingTable& table) {
        std::map<std::string, Domain> next;
        ids.clear();
        for (const auto& [id, mapping] : table.mappings) {
            const auto old = domains.find(mapping.domain);
            Domain domain;
            if (old != domains.end())
                domain = old->second;
            else if (const auto kept = certificates.find(mapping.domain); kept != certificates.end())
                domain.certificate = kept->second;
            if (!same_target(domain.mapping, mapping)) domain.begin_anew();
            domain.mapping = mapping;
            ids[id] = mapping.domain;
            next.insert_or_assign(mapping.domain, std::move(domain));
        }
        domains = std::move(next);
        for (auto& [name, domain] : domains)
            tell(domain);
        stir();
    }

    void set_certificate(const std::string& name, std::shared_ptr<ssl_ctx_st> context) {
        certificates[name] = context;
        if (!context) certificates.erase(name);
        const auto found = domains.find(name);
        if (found == domains.end()) return;
        found->second.certificate = std::move(context);
        // A domain that was served until now counts as served until the probe says otherwise.
        found->second.due = {};
        stir();
    }

    void set_link(const net::Endpoint& edge, bool up) {
        if (up)
            links.insert(edge);
        else
            links.erase(edge);
        for (auto& [name, domain] : domains) {
            if (links.empty() || (up && !domain.passed)) domain.begin_anew();
            tell(domain);
        }
        stir();
    }

    void answered(std::uint32_t id, Answer answer) {
        const auto found = ids.find(id);
        if (found == ids.end()) return;
        Domain& domain = domains.at(found->second);
        const bool news = domain.answer != answer;
        domain.answer = answer;
        if (answer == Answer::Accepted && domain.probing && domain.mapping.tls == TlsMode::Passthrough)
            domain.arrived = true;
        if (!news) return;
        tell(domain);
        // After a failure, probe again soon.
        if (answer == Answer::Accepted) return;
        domain.pause = options.first_retry;
        domain.due = Clock::now() + domain.pause;
        stir();
    }

    static asio::awaitable<void> try_one(std::shared_ptr<State> self, std::string name, EdgeProbe what) {
        const std::shared_ptr<ssl_ctx_st> with = what.own;
        const ProbeResult result = co_await self->probe(std::move(what));
        --self->under_way;
        const auto found = self->domains.find(name);
        if (self->closed || found == self->domains.end()) co_return;
        Domain& domain = found->second;
        domain.probing = false;
        self->stir();
        // The mapping has changed meanwhile: the result does not apply any more.
        if (domain.due == Clock::time_point{} || !domain.ready() || self->links.empty()) co_return;
        const bool is_tls = speaks_tls(domain, result.visit);
        domain.passed = result.visit == Visit::Served || (domain.arrived && is_tls);
        domain.failures = domain.passed ? 0 : domain.failures + 1;
        domain.trouble = domain.passed ? std::string()
                         : is_tls      ? result.trouble
                                       : std::string(not_tls_reason);
        // Bytes that are not TLS leave no doubt, and every further probe is noise in the application's log.
        const bool certain = !is_tls && result.visit == Visit::NotTls;
        if (certain) domain.failures = std::max(domain.failures, self->options.failures);
        const bool calm = certain || (domain.passed && domain.answer == Answer::Accepted);
        domain.pause = calm                        ? std::chrono::milliseconds(0)
                       : domain.pause.count() == 0 ? self->options.first_retry
                                                   : std::min(domain.pause * 2, self->options.longest_retry);
        domain.due = Clock::now() + (calm ? self->options.calm : domain.pause);
        self->tell(domain);
    }

    void start(const std::string& name, Domain& domain) {
        domain.probing = true;
        domain.arrived = false;
        domain.due = Clock::now() + longest_sleep; // a change makes it due earlier
        ++under_way;
        EdgeProbe what{.edge = *links.begin(), .name = name_to_ask(name), .own = nullptr};
        if (domain.mapping.tls == TlsMode::Node)
            what.own = domain.certificate;
        else
            what.timeout = std::chrono::seconds(2); // short, for applications that serve one client at a time
        asio::co_spawn(executor, try_one(shared_from_this(), name, std::move(what)),
                       net::ReportFailure("a probe of a domain"));
    }

    static asio::awaitable<void> run(std::shared_ptr<State> self) {
        while (!self->closed) {
            self->stirred = false;
            const auto now = Clock::now();
            auto next = now + longest_sleep;
            for (auto& [name, domain] : self->domains) {
                if (self->links.empty() || domain.probing || !domain.ready()) continue;
                if (domain.due > now)
                    next = std::min(next, domain.due);
                else if (self->under_way < self->options.at_once)
                    self->start(name, domain);
            }
            if (self->stirred) continue;
            self->wake.expires_at(next);
            co_await self->wake.async_wait(net::as_result);
        }
    }

    asio::any_io_executor executor;
    Report report;
    ServingOptions options;
    Probe probe;
    asio::steady_timer wake;
    std::map<std::string, Domain> domains;
    std::map<std::uint32_t, std::string> ids; // of mappings
    std::map<std::string, std::shared_ptr<ssl_ctx_st>> certificates;
    std::set<net::Endpoint> links; // with a session
    std::size_t under_way = 0;
    bool stirred = false;
    bool closed = false;
};

Serving::Serving(asio::any_io_executor executor, Report report, ServingOptions options, Probe probe)
    : state_(std::make_shared<State>(executor, std::move(report), options, std::move(probe))) {
    net::spawn_loop(executor, "probing domains", [state = state_] { return State::run(state); });
}

Serving::~Serving() {
    state_->closed = true;
    state_->wake.cancel();
}

void Serving::set_mappings(const MappingTable& table) {
    state_->set_mappings(table);
}

void Serving::set_certificate(const std::string& domain, std::shared_ptr<ssl_ctx_st> context) {
    state_->set_certificate(domain, std::move(context));
}

void Serving::set_link(const net::Endpoint& edge, bool up) {
    state_->set_link(edge, up);
}

void Serving::answered(std::uint32_t mapping, tunnel::Answer answer) {
    state_->answered(mapping, answer);
}

void Serving::report_again() {
    for (auto& [name, domain] : state_->domains) {
        domain.told_state = "unknown";
        domain.told_reason.clear();
        state_->tell(domain);
    }
}

} // namespace p2prc::connector

#include "connector/certificates.h"

#include "connector/certificate_request.h"
#include "connector/tls_contexts.h"
#include "core/counted.h"
#include "core/names.h"
#include "net/asio.h"
#include "net/clock.h"
#include "net/file.h"
#include "net/log.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <utility>
#include <vector>

namespace p2prc::connector {
namespace asio = boost::asio;
namespace {

using SystemTime = std::chrono::system_clock::time_point;

constexpr std::chrono::hours longest_sleep{1}; // because the wall clock may be set

std::vector<std::int64_t> read_orders(const std::filesystem::path& file) {
    std::vector<std::int64_t> orders;
    std::ifstream stream(file);
    for (std::int64_t at = 0; stream >> at;)
        orders.push_back(at);
    return orders;
}

} // namespace

AcmeFiles acme_files(const std::filesystem::path& directory, const std::string& domain) {
    // uacme drops the star from names, so the files of wildcards have their own directory.
    const bool wildcard = domain.starts_with("*.");
    const std::filesystem::path base = directory / (wildcard ? "acme-wildcard" : "acme");
    const std::string name = wildcard ? domain.substr(2) : domain;
    return {base / name / "cert.pem", base / "private" / name / "key.pem"};
}

struct Certificates::State : std::enable_shared_from_this<Certificates::State> {
    struct Domain {
        bool acme = false;
        std::string zone;                 // the fleet's
        std::string chain_file, key_file; // from a file of mappings; empty: get a certificate
        bool ready = false;
        bool unreported = false;
        bool unheard = false; // the last report was refused: the next table brings another try
        SystemTime until{};   // of the certificate in use
        SystemTime renew{};   // when to ask for the next one, by the wall clock
        std::chrono::nanoseconds not_before{}; // nor before this boot time: the wall clock may be set back
        std::chrono::milliseconds pause{0};
        bool under_way = false;
        std::vector<std::int64_t> orders = {}; // Unix times of those within the window, the oldest first

        bool own_files() const { return !chain_file.empty(); }
        bool alive(SystemTime now) const { return ready && until > now; }
        // The time until something is due; nothing: it is due now.
        std::chrono::nanoseconds idle(SystemTime now) const {
            const auto retry = not_before - net::boottime();
            if (renew <= now) return std::max(retry, std::chrono::nanoseconds(0));
            return std::max<std::chrono::nanoseconds>(
                retry, std::min<SystemTime::duration>(renew - now, longest_sleep));
        }
        std::string not_after() const { return ready ? net::to_rfc3339(until) : std::string(); }
    };

    State(asio::any_io_executor executor_, CertificateSource& source_, Install install_,
          CertificateOptions options_)
        : source(source_)
        , install(std::move(install_))
        , options(std::move(options_))
        , wake(executor_) {}

    // Wakes run(): something new is due. Works also while run() is not waiting.
    void stir() {
        stirred = true;
        wake.cancel();
    }

    // Kept on disk, so that a restart does not reset the count.
    std::filesystem::path order_file(const std::string& domain) const {
        return options.directory / "orders" / domain;
    }

    std::int64_t seconds_now() const {
        return std::chrono::floor<std::chrono::seconds>(options.now()).time_since_epoch().count();
    }

    void forget_old_orders(Domain& domain) const {
        const std::int64_t now = seconds_now();
        std::erase_if(domain.orders,
                      [&](std::int64_t at) { return at > now || now - at >= options.order_window.count(); });
    }

    void note_order(const std::string& name, Domain& domain) const {
        domain.orders.push_back(seconds_now());
        std::string text;
        for (const std::int64_t at : domain.orders)
            text += fmt::format("{}\n", at);
        const std::filesystem::path file = order_file(name);
        std::error_code error;
        std::filesystem::create_directories(file.parent_path(), error);
        if (const auto written = net::write_file_atomically(file, text); !written)
            net::log_warning(written.error().message);
    }

    std::filesystem::path bundle(const std::string& domain) const {
        return options.directory / "certs" / domain / "bundle.pem";
    }

    void set_mappings(const MappingTable& table) {
        std::map<std::string, Domain> next;
        for (const auto& [id, mapping] : table.mappings) {
            if (mapping.tls != TlsMode::Node || mapping.domain.find('/') != std::string::npos) continue;
            const bool acme = table.acme != "none";
            const auto old = domains.find(mapping.domain);
            if (old != domains.end() && old->second.acme == acme && old->second.zone == table.zone &&
                !old->second.own_files() && mapping.certificate.empty()) {
                Domain& kept = next[mapping.domain] = old->second;
                kept.unreported = kept.unreported || (kept.ready && std::exchange(kept.unheard, false));
                continue;
            }
            Domain domain;
            domain.acme = acme;
            domain.zone = table.zone;
            if (acme) domain.orders = read_orders(order_file(mapping.domain));
            domain.chain_file = mapping.certificate;
            domain.key_file = mapping.private_key;
            // A file that cannot be read is retried and reported like an order that failed.
            static_cast<void>(load_kept(mapping.domain, domain));
            next[mapping.domain] = domain;
        }
        for (const auto& [name, domain] : domains)
            if (!next.contains(name)) install(name, nullptr);
        domains = std::move(next);
        stir();
    }

    Result<void> load_kept(const std::string& name, Domain& domain) {
        if (domain.own_files()) return load(name, domain.chain_file, domain.key_file, domain);
        if (!domain.acme) return load(name, bundle(name), bundle(name), domain);
        const AcmeFiles files = acme_files(options.directory, name);
        return load(name, files.chain, files.key, domain);
    }

    Result<void> load(const std::string& name, const std::filesystem::path& chain_file,
                      const std::filesystem::path& key_file, Domain& domain) {
        const auto chain = net::read_file(chain_file);
        if (!chain) return std::unexpected(chain.error());
        const auto key = net::read_file(key_file);
        if (!key) return std::unexpected(key.error());
        const auto validity = certificate_validity(*chain);
        if (!validity) return std::unexpected(validity.error());
        auto context = make_tls_context(name, *chain, *key);
        if (!context) return std::unexpected(context.error());
        domain.renew = domain.own_files() ? SystemTime::max() : validity->renew_at();
        domain.until = validity->until;
        domain.ready = true;
        domain.unreported = !domain.own_files();
        install(name, std::move(*context));
        return {};
    }

    // Gets a new certificate for `name`; it is on disk when this returns.
    static asio::awaitable<Result<void>> obtain(std::shared_ptr<State> self, std::string name, bool acme) {
        if (acme) co_return co_await self->source.issue(name);
        const auto request = make_certificate_request(name);
        if (!request) co_return std::unexpected(request.error());
        const Result<std::string> chain = co_await self->source.sign(name, request->csr_pem);
        if (!chain) co_return std::unexpected(chain.error());
        const std::filesystem::path file = self->bundle(name);
        std::error_code error;
        std::filesystem::create_directories(file.parent_path(), error);
        if (error)
            co_return std::unexpected(
                system_error("cannot make " + file.parent_path().string(), error.value()));
        // One file for both, so that a crash never leaves a certificate with another certificate's key.
        co_return net::write_file_atomically(file, *chain + request->key_pem);
    }

    // Why `name` must not be ordered now: an order that cannot succeed counts against the name at the CA and
    // delays one that could.
    static asio::awaitable<Result<void>> may_order(std::shared_ptr<State> self, std::string name,
                                                   std::string zone) {
        if (!in_zone(name, zone))
            co_return fail(
                ErrorCode::NotSupported,
                fmt::format("{} is not below the fleet's zone {}, so this root cannot prove to a certificate "
                            "authority that it controls it",
                            name, zone),
                "map it with --tls passthrough and let the application get its own certificate");
        if (self->options.check_delegation) co_return co_await self->options.check_delegation(zone);
        co_return Result<void>{};
    }

    static asio::awaitable<void> report(std::shared_ptr<State> self, std::string name, std::string state,
                                        std::string detail, std::string not_after) {
        const bool heard = co_await self->source.report(name, state, detail, not_after);
        if (const auto found = self->domains.find(name); found != self->domains.end())
            found->second.unheard = !heard;
    }

    // Reports the state before anything is ordered.
    static asio::awaitable<void> report_kept(std::shared_ptr<State> self, std::string name, Domain at_start) {
        if (at_start.alive(self->options.now())) {
            const std::string not_after = at_start.not_after();
            co_await report(self, name, "ready", "", not_after);
        }
        if (const auto found = self->domains.find(name); found != self->domains.end())
            found->second.unreported = false;
    }

    // Postpones the order: `error` says why, `pause` how long.
    static asio::awaitable<void> put_off(std::shared_ptr<State> self, std::string name, Error error,
                                         std::chrono::nanoseconds pause, const char* state) {
        const auto found = self->domains.find(name);
        if (found == self->domains.end()) co_return;
        Domain& domain = found->second;
        domain.not_before = net::boottime() + pause;
        const std::string detail =
            error.hint.empty() ? error.message : fmt::format("{}; {}", error.message, error.hint);
        const std::string not_after = domain.not_after();
        co_await report(self, name, domain.alive(self->options.now()) ? "ready" : state, detail, not_after);
    }

    // Returns false if the order was postponed.
    static asio::awaitable<bool> begin_order(std::shared_ptr<State> self, std::string name,
                                             std::string zone) {
        const Result<void> allowed = co_await may_order(self, name, zone);
        const auto found = self->domains.find(name);
        if (self->closed || found == self->domains.end()) co_return false;
        Domain& domain = found->second;
        if (!allowed) {
            const bool hopeless = allowed.error().code == ErrorCode::NotSupported;
            const Error& error = allowed.error();
            const auto longest = hopeless ? self->options.longest_retry : self->options.delegation_retry;
            domain.pause = std::min(std::max(domain.pause * 2, self->options.first_retry), longest);
            co_await put_off(self, name, error, hopeless ? longest : domain.pause,
                             hopeless ? "failed" : "pending");
            co_return false;
        }
        domain.pause = {};
        self->forget_old_orders(domain);
        if (domain.orders.size() < self->options.most_orders) {
            self->note_order(name, domain);
            co_return true;
        }
        const auto wait = std::chrono::seconds(domain.orders.front() + self->options.order_window.count() -
                                               self->seconds_now());
        const Error error{
            ErrorCode::Failed,
            fmt::format("{} orders have failed within an hour, the most that certificate authorities "
                        "accept; the next is in {}",
                        domain.orders.size(),
                        counted(static_cast<std::uint64_t>(wait.count() / 60 + 1), "minute", "minutes")),
            "journalctl -t p2prc-acme says why they failed"};
        co_await put_off(self, name, error, wait, "failed");
        co_return false;
    }

    static asio::awaitable<void> serve(std::shared_ptr<State> self, std::string name, Domain at_start) {
        const bool alive = at_start.alive(self->options.now());
        if (at_start.unreported) co_await report_kept(self, name, at_start);
        if (at_start.idle(self->options.now()).count() > 0) co_return;
        if (at_start.acme && !at_start.own_files()) {
            const bool begun = co_await begin_order(self, name, at_start.zone);
            if (!begun) co_return;
        }
        if (!alive) co_await report(self, name, "pending", "", "");
        Result<void> done;
        if (!at_start.own_files()) done = co_await obtain(self, name, at_start.acme);
        const auto found = self->domains.find(name);
        if (self->closed || found == self->domains.end()) co_return;
        Domain& domain = found->second;
        if (done) done = self->load_kept(name, domain);
        if (done && domain.renew <= self->options.now())
            done = fail(ErrorCode::Failed, "the new certificate has expired already",
                        "check the clocks of this machine and of the certificate authority");
        if (done) {
            domain.pause = {};
            domain.not_before = {};
            domain.unreported = false;
            domain.orders.clear();
            std::error_code ignored;
            std::filesystem::remove(self->order_file(name), ignored);
            const std::string not_after = domain.not_after();
            co_await report(self, name, "ready", "", not_after);
            co_return;
        }
        domain.pause = domain.pause.count() == 0 ? self->options.first_retry
                                                 : std::min(domain.pause * 2, self->options.longest_retry);
        // A certificate that is still valid stays in use: its renewal failed, not the mapping.
        const Error error = done.error();
        co_await put_off(self, name, error, domain.pause, "failed");
    }

    void start(const std::string& name, Domain& domain) {
        domain.under_way = true;
        ++under_way;
        asio::co_spawn(wake.get_executor(), serve(shared_from_this(), name, domain),
                       [self = shared_from_this(), name](std::exception_ptr failure) {
                           net::ReportFailure("getting a certificate")(failure);
                           --self->under_way;
                           const auto found = self->domains.find(name);
                           if (found != self->domains.end()) {
                               found->second.under_way = false;
                               // Do not retry at once in a loop.
                               if (failure)
                                   found->second.not_before = net::boottime() + self->options.first_retry;
                           }
                           self->stir();
                       });
    }

    // Several in parallel: one whose CA does not answer must not delay the others.
    static asio::awaitable<void> run(std::shared_ptr<State> self) {
        while (!self->closed) {
            self->stirred = false;
            std::chrono::nanoseconds next = longest_sleep;
            for (auto& [name, domain] : self->domains) {
                if (domain.under_way) continue;
                const auto idle = domain.idle(self->options.now());
                if (!domain.unreported && idle.count() > 0)
                    next = std::min(next, idle);
                else if (self->under_way < self->options.at_once)
                    self->start(name, domain);
            }
            if (self->stirred) continue;
            self->wake.expires_after(next);
            co_await self->wake.async_wait(net::as_result);
        }
    }

    CertificateSource& source;
    Install install;
    CertificateOptions options;
    asio::steady_timer wake;
    std::map<std::string, Domain> domains;
    std::size_t under_way = 0;
    bool stirred = false;
    bool closed = false;
};

Certificates::Certificates(asio::any_io_executor executor, CertificateSource& source, Install install,
                           CertificateOptions options)
    : state_(std::make_shared<State>(executor, source, std::move(install), std::move(options))) {
    net::spawn_loop(executor, "keeping certificates", [state = state_] { return State::run(state); });
}

Certificates::~Certificates() {
    state_->closed = true;
    state_->stir();
}

void Certificates::set_mappings(const MappingTable& table) {
    state_->set_mappings(table);
}

void Certificates::retry() {
    for (auto& [name, domain] : state_->domains) {
        if (domain.own_files()) continue;
        if (domain.ready)
            domain.unreported = true; // a report to a p2prcd that was just stopping is lost
        else
            domain.not_before = {}, domain.pause = {};
    }
    state_->stir();
}

} // namespace p2prc::connector

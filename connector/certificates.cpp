#include "connector/certificates.h"

#include "connector/certificate_request.h"
#include "connector/tls_contexts.h"
#include "net/asio.h"
#include "net/clock.h"
#include "net/file.h"
#include "net/spawn.h"

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace p2prc::connector {
namespace asio = boost::asio;
namespace {

using SystemTime = std::chrono::system_clock::time_point;

constexpr std::chrono::hours longest_sleep{1}; // the wall clock may be set meanwhile

} // namespace

AcmeFiles acme_files(const std::filesystem::path& directory, const std::string& domain) {
    // uacme drops the star from its names, so a wildcard's files have a directory of their own.
    const bool wildcard = domain.starts_with("*.");
    const std::filesystem::path base = directory / (wildcard ? "acme-wildcard" : "acme");
    const std::string name = wildcard ? domain.substr(2) : domain;
    return {base / name / "cert.pem", base / "private" / name / "key.pem"};
}

struct Certificates::State : std::enable_shared_from_this<Certificates::State> {
    struct Domain {
        bool acme = false;
        std::string chain_file, key_file; // named by a file of mappings; empty: ours to get
        bool ready = false;
        bool unreported = false;
        SystemTime until{};                    // of the certificate in use
        SystemTime renew{};                    // when to ask for the next one, by the wall clock
        std::chrono::nanoseconds not_before{}; // nor before this boot time: the wall clock may be set back
        std::chrono::milliseconds pause{0};

        bool own_files() const { return !chain_file.empty(); }
        bool alive(SystemTime now) const { return ready && until > now; }
        // How long it is until there is something to do; nothing, when that is now.
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
        , wake(std::move(executor_)) {}

    std::filesystem::path bundle(const std::string& domain) const {
        return options.directory / "certs" / domain / "bundle.pem";
    }

    void set_mappings(const MappingTable& table) {
        std::map<std::string, Domain> next;
        for (const auto& [id, mapping] : table.mappings) {
            if (mapping.tls != TlsMode::Node || mapping.domain.find('/') != std::string::npos) continue;
            const bool acme = table.acme != "none";
            const auto old = domains.find(mapping.domain);
            if (old != domains.end() && old->second.acme == acme && !old->second.own_files() &&
                mapping.certificate.empty()) {
                next[mapping.domain] = old->second;
                continue;
            }
            Domain domain;
            domain.acme = acme;
            domain.chain_file = mapping.certificate;
            domain.key_file = mapping.private_key;
            // What cannot be read is tried again, and reported, as what cannot be got.
            load_kept(mapping.domain, domain);
            next[mapping.domain] = domain;
        }
        for (const auto& [name, domain] : domains)
            if (!next.contains(name)) install(name, nullptr);
        domains = std::move(next);
        wake.cancel();
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

    // One new certificate for `name`, on disk when this returns.
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
        // One file for both, so that a crash never leaves a certificate beside another's key.
        co_return net::write_file_atomically(file, *chain + request->key_pem);
    }

    static asio::awaitable<void> serve(std::shared_ptr<State> self, std::string name, Domain at_start) {
        const bool alive = at_start.alive(self->options.now());
        if (at_start.unreported) {
            if (alive) co_await self->source.report(name, "ready", "", at_start.not_after());
            if (const auto found = self->domains.find(name); found != self->domains.end())
                found->second.unreported = false;
        }
        if (at_start.idle(self->options.now()).count() > 0) co_return;
        if (!alive) co_await self->source.report(name, "pending", "", "");
        Result<void> done;
        if (!at_start.own_files()) done = co_await obtain(self, name, at_start.acme);
        const auto found = self->domains.find(name);
        if (self->closed || found == self->domains.end()) co_return;
        Domain& domain = found->second;
        if (done) done = self->load_kept(name, domain);
        if (done && domain.renew <= self->options.now())
            done = fail(ErrorCode::Failed, "the new certificate is at its end already",
                        "check the clocks of this machine and of the certificate authority");
        if (done) {
            domain.pause = {};
            domain.not_before = {};
            domain.unreported = false;
            const std::string not_after = domain.not_after();
            co_await self->source.report(name, "ready", "", not_after);
            co_return;
        }
        domain.pause = domain.pause.count() == 0 ? self->options.first_retry
                                                 : std::min(domain.pause * 2, self->options.longest_retry);
        domain.not_before = net::boottime() + domain.pause;
        // One that still lives goes on being used: its renewal has failed, not the mapping.
        const std::string state = domain.alive(self->options.now()) ? "ready" : "failed";
        const std::string not_after = domain.not_after();
        const Error& error = done.error();
        const std::string detail =
            error.hint.empty() ? error.message : fmt::format("{}; {}", error.message, error.hint);
        co_await self->source.report(name, state, detail, not_after);
    }

    static asio::awaitable<void> run(std::shared_ptr<State> self) {
        while (!self->closed) {
            std::vector<std::pair<std::string, Domain>> due;
            std::chrono::nanoseconds next = longest_sleep;
            for (const auto& [name, domain] : self->domains) {
                const auto idle = domain.idle(self->options.now());
                if (domain.unreported || idle.count() == 0)
                    due.emplace_back(name, domain);
                else
                    next = std::min(next, idle);
            }
            for (const auto& [name, domain] : due) {
                if (self->closed) co_return;
                co_await serve(self, name, domain);
            }
            if (!due.empty()) continue;
            self->wake.expires_after(next);
            co_await self->wake.async_wait(net::as_result);
        }
    }

    CertificateSource& source;
    Install install;
    CertificateOptions options;
    asio::steady_timer wake;
    std::map<std::string, Domain> domains;
    bool closed = false;
};

Certificates::Certificates(asio::any_io_executor executor, CertificateSource& source, Install install,
                           CertificateOptions options)
    : state_(std::make_shared<State>(executor, source, std::move(install), std::move(options))) {
    net::spawn_loop(executor, "keeping certificates", [state = state_] { return State::run(state); });
}

Certificates::~Certificates() {
    state_->closed = true;
    state_->wake.cancel();
}

void Certificates::set_mappings(const MappingTable& table) {
    state_->set_mappings(table);
}

void Certificates::retry() {
    for (auto& [name, domain] : state_->domains) {
        if (domain.own_files()) continue;
        if (domain.ready)
            domain.unreported = true; // a report to a p2prcd that was just leaving is lost
        else
            domain.not_before = {}, domain.pause = {};
    }
    state_->wake.cancel();
}

} // namespace p2prc::connector

#include "process/deployment.h"

#include "core/data_paths.h"
#include "core/duration.h"
#include "core/text.h"
#include "net/spawn.h"
#include "process/container_unit.h"
#include "process/deploy_unit.h"
#include "process/exit_reason.h"
#include "process/removal_unit.h"
#include "process/retry_words.h"
#include "process/sealed_input.h"
#include "process/unit_names.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <iterator>
#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t at_once = 2;
constexpr std::size_t log_lines = 20;
constexpr int not_now = 75; // EX_TEMPFAIL of sysexits.h

std::string last_of(const std::vector<std::string>& log) {
    return log.empty() ? std::string() : text::excerpt(log.back(), 200);
}

} // namespace

Deployments::Deployments(asio::any_io_executor loop, Systemd& systemd, RunEnd& run_end,
                         const DeploymentOptions& options, Warn warn)
    : loop_(std::move(loop))
    , systemd_(systemd)
    , run_end_(run_end)
    , options_(options)
    , warn_(std::move(warn))
    , results_(options.root, options.hidden_root, options.notes)
    , slots_(at_once, 1) {}

Result<Deployer> Deployments::deployer(std::string_view name) const {
    return find_deployer(options_.deployers, name, options_.owner);
}

std::string Deployments::others() const {
    return fmt::format("{}", fmt::join(std::set(under_way_.begin(), under_way_.end()), ", "));
}

asio::awaitable<Result<void>> Deployments::remove(std::string name, std::string digest) {
    // A p2prcd that was ended has left it running, or it is not there.
    const auto deployer = deploy_unit_name(name);
    const auto stopped = co_await systemd_.stop(deployer, share_);
    if (!stopped) co_return std::unexpected(stopped.error());
    auto paths = results_.paths_of(name, digest);
    if (digest.empty()) std::ranges::copy(caches_of(name), std::back_inserter(paths));
    std::erase_if(paths, [](const fs::path& path) {
        std::error_code ignored;
        return fs::symlink_status(path, ignored).type() == fs::file_type::not_found;
    });
    if (!paths.empty()) {
        const auto unit = removal_unit_name(name);
        const std::array writable{options_.root, options_.hidden_root, options_.cache, options_.hidden_cache};
        const auto properties = removal_unit(name, paths, writable);
        const auto removed = co_await systemd_.start_transient(unit, properties, share_);
        if (!removed) co_return std::unexpected(removed.error());
        if (*removed != "done")
            co_return fail(
                ErrorCode::Failed,
                fmt::format("what was deployed for '{}' could not be removed ({})", name, *removed),
                fmt::format("journalctl -u {} has the reason", unit));
    }
    if (digest.empty() && !results_.containers(name).empty())
        if (const auto gone = co_await remove_containers(name); !gone) co_return gone;
    results_.forget(name, digest);
    co_return Result<void>{};
}

// What runs is removed by its own unit.
asio::awaitable<Result<void>> Deployments::remove_containers(std::string name) {
    auto content = container_removal_unit(name);
    if (!content) co_return std::unexpected(content.error());
    const auto unit = container_removal_unit_name(name);
    const auto removed = co_await systemd_.start_transient(unit, std::move(*content), share_);
    if (!removed) co_return std::unexpected(removed.error());
    if (*removed != "done")
        co_return fail(ErrorCode::Failed,
                       fmt::format("the containers of '{}' could not be removed ({})", name, *removed),
                       fmt::format("journalctl -u {} has the reason", unit));
    co_return Result<void>{};
}

void Deployments::tidy(const Needed& needed, const std::set<std::string>& busy, std::shared_ptr<void> owner) {
    if (tidying_ || cleaning_ || stopped_) return;
    std::vector<std::pair<std::string, std::string>> list;
    for (const auto& name : results_.names()) {
        if (busy.contains(name)) continue;
        const auto digest = needed.find(name);
        auto gone = results_.unfinished(name);
        if (digest == needed.end())
            gone = {""};
        else
            std::ranges::copy(results_.outdated(name, digest->second), std::back_inserter(gone));
        for (auto& one : gone)
            list.emplace_back(name, std::move(one));
    }
    if (list.empty()) return;
    tidying_ = true;
    asio::co_spawn(loop_, remove_all(std::move(list), std::move(owner)),
                   net::ReportFailure("removing what was deployed"));
}

asio::awaitable<void> Deployments::remove_all(std::vector<std::pair<std::string, std::string>> list,
                                              std::shared_ptr<void> owner) {
    for (const auto& [name, digest] : list) {
        // It may be wanted again by now.
        if (under_way_.contains(name)) continue;
        const auto removed = co_await remove(name, digest);
        if (stopped_) break;
        if (!removed) warn_(removed.error().message, name);
    }
    tidying_ = false;
    owner.reset();
}

Deployment::Deployment(Deployments& all, std::shared_ptr<void> owner, ProcessRecord record, std::string node,
                       Maker maker, Events events)
    : all_(all)
    , owner_(std::move(owner))
    , record_(std::move(record))
    , node_(std::move(node))
    , maker_(std::move(maker))
    , events_(std::move(events))
    , digest_(deploy_digest(record_))
    , pause_(all.loop_)
    , over_(all.loop_) {}

void Deployment::begin() {
    asio::co_spawn(all_.loop_, run(), [self = shared_from_this()](const std::exception_ptr& thrown) {
        if (thrown) net::ReportFailure("the deployment of '" + self->record_.name + "'")(thrown);
        self->over_.set();
    });
}

asio::awaitable<void> Deployment::cancel() {
    const auto self = shared_from_this();
    cancelled_ = true;
    pause_.set();
    const auto unit = deploy_unit_name(record_.name);
    const auto stopped = co_await all_.systemd_.stop(unit, all_.share_);
    // Who waits for a turn has begun nothing.
    if (stopped && attempting_) co_await over_.wait();
    if (all_.stopped_) co_return;
    if (const auto removed = co_await all_.remove(record_.name, digest_); !removed)
        all_.warn_(removed.error().message, record_.name);
}

asio::awaitable<void> Deployment::run() {
    const auto self = shared_from_this();
    auto pause = all_.options_.first_pause;
    // Never from within begin().
    co_await asio::post(all_.loop_, asio::use_awaitable);
    while (!cancelled_ && !all_.stopped_) {
        End end;
        {
            if (all_.under_way_.size() >= at_once)
                events_.says(fmt::format("it waits for {}, which are being deployed", all_.others()));
            const auto slot = co_await all_.slots_.acquire(maker_.name);
            if (cancelled_ || all_.stopped_) co_return;
            const auto place = all_.under_way_.insert(record_.name);
            events_.says(fmt::format("the deployer '{}' prepares it", record_.spec.deploy.strategy));
            attempting_ = true;
            end = co_await attempt();
            attempting_ = false;
            all_.under_way_.erase(place);
        }
        if (cancelled_ || all_.stopped_) co_return;
        if (end.kind != End::Kind::NotNow) {
            std::optional<StopReason> failure;
            if (end.kind == End::Kind::Failed) failure = std::move(end.reason);
            events_.over(std::move(failure));
            co_return;
        }
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(pause).count();
        events_.says(fmt::format("{}{}{}", end.reason.detail, next_attempt_words,
                                 duration_text(static_cast<std::uint64_t>(seconds))));
        co_await pause_.wait(pause);
        pause = std::min(2 * pause, all_.options_.longest_pause);
    }
}

namespace {

StopReason failure(std::string step, std::string detail) {
    StopReason reason;
    reason.kind = StopKind::DeployFailed;
    reason.step = std::move(step);
    reason.detail = std::move(detail);
    return reason;
}

StopReason failure(std::string step, const Error& error) {
    return failure(std::move(step), error.hint.empty() ? error.message : error.message + "; " + error.hint);
}

} // namespace

Result<TransientUnit> Deployment::unit_of(const Deployer& deployer) const {
    auto script = sealed_input("p2prc-deploy-script", record_.spec.deploy.script);
    if (!script) return std::unexpected(script.error());
    const bool builds = deployer.as == DeployerClass::Builder;
    const auto place = fmt::format("{}/{}/{}", deploy_directory, record_.name, digest_);
    const auto work = fmt::format("{}/{}", deploy_directory, DeployedResults::work_of(record_.name, digest_));
    const auto cache =
        fmt::format("{}/{}/{}/{}", deploy_directory, builder_directory, builder_cache, deployer.name);
    const auto directory = fmt::format("/var/lib/{}", builds ? work : place);
    const auto previous = all_.results_.previous(record_);
    DeployRun run{.program = deployer.program,
                  .as = deployer.as,
                  .network = deployer.network,
                  .groups = deployer.groups,
                  .timeout = deployer.timeout,
                  .place = place,
                  .work = work,
                  .cache = cache,
                  .previous = previous ? previous->directory.string() : "",
                  .environment = {{"P2PRC_API", "1"},
                                  {"P2PRC_NAME", record_.name},
                                  {"P2PRC_NODE", node_},
                                  {"P2PRC_ORIGIN", maker_.origin == Origin::Local ? "local" : "remote"},
                                  {"P2PRC_DIGEST", record_.digest},
                                  {"P2PRC_PREVIOUS_DIGEST", previous ? previous->spec : ""},
                                  {"P2PRC_RESOLVED", resolved_},
                                  {"DEPLOY", directory},
                                  {"DEPLOY_PREVIOUS", previous ? std::string(shown_result) : ""}},
                  .script = std::move(*script)};
    if (builds) run.environment["CACHE_DIRECTORY"] = fmt::format("/var/lib/{}", cache);
    if (record_.port) run.environment["PORT"] = std::to_string(*record_.port);
    const bool has_data = record_.spec.run.data && deployer.as == DeployerClass::Process;
    // systemd would name all of the unit's directories there.
    run.environment["STATE_DIRECTORY"] = has_data ? data_directory(record_.name) : "";
    if (builds || (!has_data && record_.spec.run.user.empty())) run.environment.emplace("HOME", directory);
    auto unit = deploy_unit(record_, node_, maker_.origin, run);
    if (unit) set_slice(*unit, maker_.slice);
    return unit;
}

asio::awaitable<Deployment::End> Deployment::attempt() {
    const auto deployer = all_.deployer(record_.spec.deploy.strategy);
    if (!deployer) {
        const bool missing = deployer.error().code == ErrorCode::NotFound;
        co_return End{End::Kind::Failed, failure(missing ? "missing" : "deployer", deployer.error())};
    }
    if (const auto able = check_needs(*deployer); !able)
        co_return End{End::Kind::Failed, failure("missing", able.error())};
    if (all_.cleaning_)
        co_return End{End::Kind::NotNow,
                      failure("", "what deployers have left on this machine is being removed")};
    if (auto known = all_.results_.resolved(record_); !known.empty()) resolved_ = std::move(known);
    // What is there is half of a result, or that of another process of the same name.
    const auto removed = co_await all_.remove(record_.name, digest_);
    if (!removed) co_return End{End::Kind::NotNow, failure("", removed.error())};
    const bool hidden = deployer->as == DeployerClass::Process && record_.spec.run.user.empty();
    if (const auto begun = all_.results_.begin(record_, hidden); !begun)
        co_return End{End::Kind::NotNow, failure("", begun.error())};
    auto unit = unit_of(*deployer);
    if (!unit) co_return End{End::Kind::Failed, failure("unit", unit.error())};
    if (cancelled_) co_return End{};
    const auto name = deploy_unit_name(record_.name);
    const auto job = co_await all_.systemd_.start_transient(name, std::move(*unit), all_.share_);
    if (cancelled_ || all_.stopped_) co_return End{};
    if (!job && job.error().code == ErrorCode::InvalidSpec)
        co_return End{End::Kind::Failed, failure("unit", job.error())};
    if (!job) co_return End{End::Kind::NotNow, failure("", job.error())};
    if (*job == "done") {
        // It remains until it is stopped, and its result is shown then. With it goes whatever it left behind.
        const auto stopped = co_await all_.systemd_.stop(name, all_.share_);
        if (cancelled_ || all_.stopped_) co_return End{};
        if (!stopped) co_return End{End::Kind::NotNow, failure("", stopped.error())};
        co_return co_await finish(*deployer);
    }
    co_return co_await ended(*job, *deployer);
}

// It did not succeed. Its unit stays until it has been looked at.
asio::awaitable<Deployment::End> Deployment::ended(std::string job, Deployer deployer) {
    const auto unit = deploy_unit_name(record_.name);
    const auto view = co_await all_.systemd_.view_of(unit);
    if (!view) co_return End{End::Kind::NotNow, failure("", view.error())};
    auto log = co_await all_.run_end_.log_of(unit, record_.id, view->invocation, log_lines);
    (void)co_await all_.systemd_.reset_failed(unit);
    const auto& result = view->result;
    const bool exited = result.code == CLD_EXITED;
    if (exited && result.status == not_now) {
        const auto line = last_of(log);
        co_return End{End::Kind::NotNow,
                      failure("", fmt::format("the deployer '{}' says: not now{}{}", deployer.name,
                                              line.empty() ? "" : ": ", line))};
    }
    StopReason reason;
    if (job == "timeout" || result.result == "timeout") {
        reason = failure("timeout",
                         fmt::format("it took longer than {}",
                                     duration_text(static_cast<std::uint64_t>(deployer.timeout.count()))));
    } else if (result.result == "oom-kill") {
        reason = failure("oom-kill", "it needed more memory than limits.memory allows");
    } else if (exited && result.status != 0) {
        const auto step = result.status >= first_exec_status ? exec_step_name(result.status) : "";
        reason = failure(step.empty() ? fmt::format("exit {}", result.status) : std::string(step), "");
    } else if (result.code == CLD_KILLED || result.code == CLD_DUMPED) {
        reason = failure(signal_name(result.status), "");
    } else {
        reason = failure("stopped", fmt::format("its unit {} was stopped from outside ({})", unit, job));
    }
    reason.log = std::move(log);
    // Half of a result is of no use to anybody.
    if (const auto removed = co_await all_.remove(record_.name, digest_); !removed)
        all_.warn_(removed.error().message, record_.name);
    co_return End{End::Kind::Failed, std::move(reason)};
}

asio::awaitable<Deployment::End> Deployment::finish(Deployer deployer) {
    const bool as_process = deployer.as == DeployerClass::Process;
    const bool dynamic = record_.spec.run.user.empty();
    const auto deployed = all_.results_.finish(record_, as_process && dynamic, !as_process || dynamic,
                                               deployer.as == DeployerClass::Root);
    if (deployed) {
        if (!deployed->result.note.empty())
            all_.warn_(fmt::format("the deployer '{}' of '{}' says: {}", deployer.name, record_.name,
                                   text::excerpt(deployed->result.note, 500)),
                       record_.name);
        co_return End{};
    }
    if (const auto removed = co_await all_.remove(record_.name, digest_); !removed)
        all_.warn_(removed.error().message, record_.name);
    co_return End{End::Kind::Failed, failure("result", deployed.error())};
}

} // namespace p2prc::process

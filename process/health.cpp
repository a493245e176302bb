#include "process/health.h"

#include "net/clock.h"
#include "net/one_shot_timer.h"
#include "net/spawn.h"
#include "process/container_unit.h"
#include "process/transient_unit.h"

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <filesystem>
#include <random>
#include <set>
#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Kind = Probe::Kind;

namespace {

constexpr auto soonest_look = 10ms;
constexpr auto latest_look = 3s;
// Before that nothing is reported of a process that is not ready yet.
constexpr auto first_word = 1s;
// What an application answers may be another each time, and each report goes to every node.
constexpr auto between_words = 5s;
constexpr Clock::duration first_pause = 250ms; // after a question that costs a connection or a unit
constexpr Clock::duration longest_pause = 2s;

std::string step_of(const std::optional<Probe>& probe) {
    return std::string(probe_name(probe ? probe->kind : Kind::Port));
}

bool pins_are_there(const BindRule& rule) {
    return std::ranges::all_of(std::array{BindFamily::Inet4, BindFamily::Inet6}, [&](BindFamily family) {
        std::error_code ignored;
        return std::filesystem::exists(
            std::filesystem::path(bind_programs_directory) / bind_program_name(family, rule), ignored);
    });
}

} // namespace

struct Health::Run {
    Run(const asio::any_io_executor& executor, HealthTarget whose, HealthEvents whom)
        : target(std::move(whose))
        , events(std::move(whom))
        , timer(executor) {}

    enum class Phase { Waiting, Living, Over };
    HealthTarget target;
    HealthEvents events;
    Phase phase = Phase::Waiting;
    Clock::time_point since = Clock::now(); // when it was seen to run
    Clock::time_point due = since;          // the next question while it waits
    Clock::duration pause = first_pause;
    bool asking = false;   // an answer is on its way
    bool commands = false; // by the command's unit
    std::string lacks;     // reported last
    Clock::time_point reported{};
    std::string answer;
    std::uint32_t failures = 0; // in a row, once it is ready
    net::OneShotTimer timer;    // of liveness

    bool waits() const noexcept { return phase == Phase::Waiting; }
    const ProcessSpec& spec() const noexcept { return *target.spec; }
    const std::optional<Probe>& probe() const noexcept {
        return phase == Phase::Waiting ? spec().ready.probe : spec().live.probe;
    }
    // Whether it is found among the listeners: a process without [ready] is, if it has a port.
    bool by_port() const noexcept {
        return probe() ? probe()->kind == Kind::Port || probe()->kind == Kind::Http : target.port.has_value();
    }
    std::optional<Clock::time_point> deadline() const {
        const auto limit = ready_limit(spec().ready);
        // Whoever lives long enough is ready whatever the limit is.
        const bool waits_for_something = probe() || target.port;
        return limit && waits_for_something ? std::optional(since + *limit) : std::nullopt;
    }
};

class Health::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(asio::any_io_executor executor, Systemd& systemd, Sources sources)
        : executor_(std::move(executor))
        , systemd_(systemd)
        , sources_(std::move(sources))
        , slept_(sources_.slept ? sources_.slept() : 0ns)
        , timer_(executor_) {}

    std::unique_ptr<Watch> watch(HealthTarget target, HealthEvents events, bool already_ready) {
        const auto run = std::make_shared<Run>(executor_, std::move(target), std::move(events));
        if (already_ready) {
            live(run);
        } else {
            waiting_.insert(run);
            look_in(0s);
        }
        return std::make_unique<Watch>(weak_from_this(), run);
    }

    void remove(const std::shared_ptr<Run>& run) {
        waiting_.erase(run);
        living_.erase(run);
        run->phase = Run::Phase::Over;
        run->timer.cancel();
        if (run->asking && run->commands) stop_command(run->target);
    }

  private:
    using Listeners = std::optional<Result<std::vector<net::Listener>>>; // asked for when needed

    void look_in(Clock::duration time) {
        timer_.cancel();
        timer_.arm(time, [this] { look(); });
    }

    // A callback may end any run, and begin others.
    void look() {
        const auto self = shared_from_this();
        Listeners listeners;
        const std::vector<std::shared_ptr<Run>> runs(waiting_.begin(), waiting_.end());
        const auto now = Clock::now();
        // Once the kernel is asked, the others that wait for a port cost nothing more.
        const bool asks_the_kernel = std::ranges::any_of(
            runs, [now](const auto& run) { return !run->asking && run->by_port() && run->due <= now; });
        for (const auto& run : runs) {
            if (!run->waits() || run->asking) continue;
            const bool costs_nothing = asks_the_kernel && run->by_port() && !is_by(run->probe(), Kind::Http);
            if (run->due <= now || costs_nothing) evaluate(run, listeners);
        }
        for (const auto& run : runs)
            if (const auto deadline = run->waits() ? run->deadline() : std::nullopt;
                deadline && *deadline <= Clock::now())
                give_up(run);
        arm();
    }

    void arm() {
        auto next = Clock::time_point::max();
        for (const auto& run : waiting_) {
            if (!run->asking) next = std::min(next, run->due);
            if (const auto deadline = run->deadline()) next = std::min(next, *deadline);
        }
        if (next != Clock::time_point::max()) look_in(next - Clock::now());
    }

    // Where it listens; nothing: nobody can say.
    std::optional<PortTarget> find(const Run& run, Listeners& listeners) const {
        if (!run.target.port) return PortTarget{.reason = "it has no port"};
        if (!listeners) listeners = sources_.listeners();
        if (!*listeners) return std::nullopt;
        return port_target(**listeners, *run.target.port, sources_.unit(run.target.process, run.target.turn),
                           run.target.process,
                           [](const net::Listener& listener) { return holder_text(listener); });
    }

    void evaluate(const std::shared_ptr<Run>& run, Listeners& listeners) {
        const auto age = Clock::now() - run->since;
        const auto& probe = run->probe();
        if (is_by(probe, Kind::Notify)) return become_ready(run);
        if (is_by(probe, Kind::Command)) return ask_command(run);
        if (!run->by_port()) {
            const auto enough = std::chrono::duration_cast<Clock::duration>(sources_.lived_enough);
            if (age >= enough) return become_ready(run);
            run->due =
                run->since + (age < first_word ? std::min<Clock::duration>(first_word, enough) : enough);
            return report(run, "it has just been started");
        }
        const auto found = find(*run, listeners);
        run->due = Clock::now() + std::clamp<Clock::duration>(age / 4, soonest_look, latest_look);
        if (!found) {
            // Where it is not known who listens, having run long enough has to suffice.
            if (age < sources_.lived_enough) return;
            return is_by(probe, Kind::Http) ? ask_http(run, "127.0.0.1", {}) : become_ready(run);
        }
        if (found->address.empty()) {
            run->answer = found->reason;
            return report(run, found->reason);
        }
        if (!is_by(probe, Kind::Http)) return become_ready(run);
        ask_http(run, found->address, found->groups);
    }

    void report(const std::shared_ptr<Run>& run, const std::string& what) {
        const auto now = Clock::now();
        if (now - run->since < first_word || now - run->reported < between_words || what == run->lacks)
            return;
        run->lacks = what;
        run->reported = now;
        if (run->events.lacks) run->events.lacks(what);
    }

    void become_ready(const std::shared_ptr<Run>& run) {
        waiting_.erase(run);
        live(run);
        if (run->events.ready) run->events.ready();
    }

    void give_up(const std::shared_ptr<Run>& run) {
        const auto step = step_of(run->probe());
        if (run->answer.empty()) run->answer = "it has not answered yet";
        remove(run);
        if (run->events.not_ready) run->events.not_ready(step, run->answer);
    }

    void live(const std::shared_ptr<Run>& run) {
        run->phase = run->spec().live.probe ? Run::Phase::Living : Run::Phase::Over;
        if (run->phase == Run::Phase::Over) return;
        living_.insert(run);
        // Those that began together, at a boot or after a start of p2prcd, are not all asked at once.
        ask_later(run, 0.5, 1.0);
    }

    void ask_later(const std::shared_ptr<Run>& run, double least = 0.9, double most = 1.1) {
        const auto share = std::uniform_real_distribution<double>(least, most)(random_);
        const std::chrono::duration<double> wait = share * run->spec().live.every;
        arm_liveness(run, std::chrono::duration_cast<Clock::duration>(wait));
    }

    void arm_liveness(const std::shared_ptr<Run>& run, Clock::duration wait) {
        run->timer.arm(wait, [weak = weak_from_this(), weak_run = std::weak_ptr(run)] {
            const auto impl = weak.lock();
            const auto due = weak_run.lock();
            if (impl && due && due->phase == Run::Phase::Living) impl->ask_whether_it_lives(due);
        });
    }

    // After the machine slept nobody is asked for a while, and what failed before is forgotten: processes,
    // their peers and the network need a moment.
    void rest_after_sleep() {
        if (!sources_.slept) return;
        const auto slept = sources_.slept();
        if (slept - std::exchange(slept_, slept) < 1s) return; // the two clocks are not read at the same time
        asked_before_ = Clock::now();
        paused_until_ = std::max(paused_until_, asked_before_ + sources_.rest_after_sleep);
        for (const auto& run : living_)
            run->failures = 0;
    }

    void ask_whether_it_lives(const std::shared_ptr<Run>& run) {
        rest_after_sleep();
        const auto now = Clock::now();
        if (now < paused_until_) {
            const std::chrono::duration<double> spread =
                std::uniform_real_distribution<double>(0.0, 0.1)(random_) * run->spec().live.every;
            return arm_liveness(run,
                                paused_until_ - now + std::chrono::duration_cast<Clock::duration>(spread));
        }
        if (is_by(run->probe(), Kind::Command)) return ask_command(run);
        Listeners listeners;
        const auto found = find(*run, listeners);
        const bool http = is_by(run->probe(), Kind::Http);
        if (!found && http) return ask_http(run, "127.0.0.1", {});
        if (!found) return lives(run, {}, now);
        if (found->address.empty()) return lives(run, {ProbeAnswer::Verdict::Bad, found->reason}, now);
        if (!http) return lives(run, {ProbeAnswer::Verdict::Good}, now);
        ask_http(run, found->address, found->groups);
    }

    void lives(const std::shared_ptr<Run>& run, const ProbeAnswer& answer, Clock::time_point asked) {
        // What was asked before the machine slept may not be answered because of that.
        rest_after_sleep();
        if (answer.bad() && asked >= asked_before_) ++run->failures;
        if (answer.good()) run->failures = 0;
        if (run->failures < run->spec().live.failures) return ask_later(run);
        const auto step = step_of(run->probe());
        remove(run);
        if (run->events.unhealthy) run->events.unhealthy(step, answer.words);
    }

    void ask_http(const std::shared_ptr<Run>& run, const std::string& address,
                  const std::set<std::uint64_t>& groups) {
        const net::Endpoint endpoint{net::Address::parse(address).value(), *run->target.port};
        run->commands = false;
        ask(run, probe_http(endpoint, groups, run->probe()->path));
    }

    void ask_command(const std::shared_ptr<Run>& run) {
        ProcessRecord record;
        record.name = run->target.process;
        record.port = run->target.port;
        record.spec = run->spec();
        if (run->target.deployed) record = with_result(std::move(record), *run->target.deployed);
        const auto& target = run->target;
        const bool contained = target.deployed && target.deployed->in_container();
        auto unit = contained ? container_probe_unit(record, target.turn, target.origin, *run->probe())
                              : probe_unit(record, target.origin, *run->probe());
        if (!unit) return settle(run, {ProbeAnswer::Verdict::Bad, unit.error().message}, Clock::now());
        set_slice(*unit, run->target.slice);
        if (target.deployed && !contained) add_result(*unit, run->spec(), *target.deployed);
        // Where the process is kept to its ports by programs, so are its commands.
        const auto rule = bind_rule(record);
        if (rule && sources_.pinned && sources_.pinned(*rule)) add_bind_programs(*unit, *rule);
        run->commands = true;
        ask(run, probe_command(systemd_, turn_name(record.name, run->target.turn), std::move(*unit),
                               run->target.share, sources_.last_line));
    }

    void ask(const std::shared_ptr<Run>& run, asio::awaitable<ProbeAnswer> question) {
        run->asking = true;
        const auto asked = Clock::now();
        asio::co_spawn(
            executor_, std::move(question),
            [weak = weak_from_this(), run, asked](const std::exception_ptr& thrown, ProbeAnswer answer) {
                if (thrown) net::ReportFailure("a probe of '" + run->target.process + "'")(thrown);
                run->asking = false;
                const auto impl = weak.lock();
                if (impl && run->phase != Run::Phase::Over)
                    impl->settle(run, thrown ? ProbeAnswer() : answer, asked);
            });
    }

    // What was asked has been answered.
    void settle(const std::shared_ptr<Run>& run, const ProbeAnswer& answer, Clock::time_point asked) {
        if (!run->waits()) return lives(run, answer, asked);
        run->due = Clock::now() + run->pause;
        run->pause = std::min(2 * run->pause, longest_pause);
        if (answer.good()) {
            become_ready(run);
        } else if (!answer.words.empty()) {
            run->answer = answer.words;
            report(run, answer.words);
        }
        arm();
    }

    // It shares the user and the data of what may follow.
    void stop_command(const HealthTarget& target) {
        asio::co_spawn(
            executor_,
            stop_probe(systemd_, probe_unit_name(turn_name(target.process, target.turn)), target.share),
            net::ReportFailure("stopping the probe of '" + target.process + "'"));
    }

    static asio::awaitable<void> stop_probe(Systemd& systemd, std::string unit, JobShare share) {
        // One that is left ends by its own limit.
        (void)co_await systemd.stop(unit, std::move(share));
    }

    asio::any_io_executor executor_;
    Systemd& systemd_;
    Sources sources_;
    std::chrono::nanoseconds slept_; // until the last question
    std::set<std::shared_ptr<Run>> waiting_, living_;
    Clock::time_point paused_until_{}, asked_before_{};
    std::minstd_rand random_{std::random_device{}()};
    net::OneShotTimer timer_; // of all that wait
};

Health::Sources Health::of_this_machine(JournalTail* journal) {
    Sources sources{[] { return net::tcp_listeners(); },
                    [](const std::string& process, Turn turn) { return unit_sockets(process, turn); },
                    pins_are_there};
    // CLOCK_MONOTONIC stands still while the machine sleeps.
    sources.slept = [] { return net::boottime() - Clock::now().time_since_epoch(); };
    if (journal)
        sources.last_line = [journal](std::string unit, std::uint64_t since) {
            return journal->last_line(std::move(unit), since);
        };
    return sources;
}

Health::Health(asio::any_io_executor executor, Systemd& systemd, Sources sources)
    : impl_(std::make_shared<Impl>(std::move(executor), systemd, std::move(sources))) {}
Health::~Health() = default;

std::unique_ptr<Health::Watch> Health::watch(HealthTarget target, HealthEvents events, bool already_ready) {
    return impl_->watch(std::move(target), std::move(events), already_ready);
}

Health::Watch::Watch(std::weak_ptr<Impl> impl, std::shared_ptr<Run> run)
    : impl_(std::move(impl))
    , run_(std::move(run)) {}

Health::Watch::~Watch() {
    if (const auto impl = impl_.lock()) impl->remove(run_);
}

} // namespace p2prc::process

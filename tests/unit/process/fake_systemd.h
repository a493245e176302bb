// A systemd in memory that does what it is told and reports it as the real one would, in the order of systemd
// 252.
#pragma once

#include "process/journal_tail.h"
#include "process/systemd.h"
#include "process/unit_view_reader.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <regex>

namespace p2prc::process {

class FakeSystemd : public Systemd {
  public:
    using Units = boost::asio::awaitable<Result<std::vector<UnitView>>>;
    using Word = boost::asio::awaitable<Result<std::string>>;

    void on_events(SystemdEvents given) override { events = std::move(given); }

    Units units() override {
        std::vector<UnitView> all;
        for (const auto& [name, view] : loaded)
            all.push_back(view);
        co_return all;
    }

    Word start_transient(std::string unit, TransientUnit content, JobShare share) override {
        if (unit.starts_with("p2prcd-ports") || unit == "p2prcd-unpin.service") {
            port_units.push_back(unit);
            port_words.clear();
            for (const auto& property : content.properties)
                if (property.name == "ExecStartEx")
                    port_words = property.value.at(0).at(1).get<std::vector<std::string>>();
            if (unit == "p2prcd-unpin.service" && unpin_takes.count() > 0) {
                const auto executor = co_await boost::asio::this_coro::executor;
                boost::asio::steady_timer timer(executor, unpin_takes);
                co_await timer.async_wait(boost::asio::use_awaitable);
                port_units.emplace_back("(is over)");
            }
            co_return std::string(pins ? "done" : "failed");
        }
        if (unit.starts_with("p2prcd-probe-")) {
            shares[unit] = share;
            co_return std::string("done");
        }
        if (unit.starts_with("p2prcd-copy-")) {
            if (std::ranges::any_of(content.properties, [](const UnitProperty& property) {
                    return property.name == "Description" &&
                           property.value.get<std::string>().starts_with("Removal");
                })) {
                for (const auto& property : content.properties)
                    if (property.name == "ExecStartEx" && copy_removal)
                        for (const auto& word : property.value.at(0).at(1))
                            copy_removal(word.get<std::string>());
                co_return std::string("done");
            }
            calls.push_back("start " + unit);
            co_return copier ? copier() : std::string("failed");
        }
        if (unit.starts_with("p2prcd-notify-")) {
            if (refuse_notice) co_return std::unexpected(*refuse_notice);
            notice_units.insert(unit);
            calls.push_back("start " + unit);
            started[unit] = content.properties;
            notices.push_back(content.input);
            co_return std::string("done");
        }
        if (unit.starts_with("p2prcd-undeploy-")) {
            for (const auto& property : content.properties)
                if (property.name == "ExecStartEx")
                    for (const auto& word : property.value.at(0).at(1))
                        if (const std::filesystem::path path(word.get<std::string>());
                            path.is_absolute() && path.filename() != "rm")
                            std::filesystem::remove_all(path);
            co_return std::string("done");
        }
        if (unit == "p2prcd-clean.service") {
            cleanings.push_back(content.drop_in);
            const std::regex path("\"(/[^\" ]*)\"");
            for (std::sregex_iterator one(content.drop_in.begin(), content.drop_in.end(), path), end;
                 one != end; ++one)
                if ((*one)[1] != "/bin/sh" && !content.drop_in.contains("kept="))
                    std::filesystem::remove_all((*one)[1].str());
            const bool told = ::write(content.output->get(), "4096\n", 5) == 5;
            co_return std::string(told ? "done" : "failed");
        }
        if (unit.starts_with("p2prcd-deploy-")) {
            calls.push_back("start " + unit);
            started[unit] = content.properties;
            deploy_input = content.input;
            if (deploy_takes.count() > 0) {
                const auto executor = co_await boost::asio::this_coro::executor;
                const auto job = std::make_shared<boost::asio::steady_timer>(executor, deploy_takes);
                deploy_jobs_[unit] = job;
                boost::system::error_code ended;
                co_await job->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ended));
                if (ended) co_return std::string("canceled");
            }
            auto result = deployer ? deployer() : std::string("done");
            if (result == "done") deployed_.insert(unit);
            co_return result;
        }
        if (unit.starts_with("p2prcd-volumes-") && volumes_take.count() > 0) {
            calls.push_back("start " + unit);
            const auto executor = co_await boost::asio::this_coro::executor;
            const auto job = std::make_shared<boost::asio::steady_timer>(executor, volumes_take);
            deploy_jobs_[unit] = job;
            boost::system::error_code ended;
            co_await job->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ended));
            co_return std::string(ended ? "canceled" : "done");
        }
        calls.push_back("start " + unit);
        started[unit] = content.properties;
        shares[unit] = share;
        if (throw_once) {
            throw_once = false;
            throw std::bad_alloc();
        }
        if (refuse_start) co_return std::unexpected(*refuse_start);
        if (const auto holder = unlisted.find(unit); holder != unlisted.end()) {
            if (holder->second.process != 0) tell(UnitView(holder->second));
            co_return fail(ErrorCode::Conflict, "systemd has a unit " + unit + " already");
        }
        forget_failure(unit);
        UnitView view;
        view.unit = unit;
        apply_properties(content.properties, view);
        view.active_state = "inactive"; // shown for an instant before the command is executed
        tell(view);
        view.invocation = next_invocation();
        if (fail_start_with && fail_starts != 0) {
            --fail_starts;
            view.active_state = "failed";
            view.result = *fail_start_with;
            tell(view);
            co_return std::string("failed");
        }
        view.main_pid = main_pid;
        if (view.result.notifies) {
            view.active_state = "activating";
            view.sub_state = "start";
            tell(view);
            const auto executor = co_await boost::asio::this_coro::executor;
            start_job_ = std::make_shared<boost::asio::steady_timer>(
                executor, boost::asio::steady_timer::time_point::max());
            boost::system::error_code ignored;
            const auto job = start_job_;
            co_await job->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
            co_return start_result_;
        }
        view.active_state = "active";
        view.sub_state = "running";
        tell(view);
        if (end_at_once) end(unit, *end_at_once);
        co_return std::string("done");
    }

    Word stop(std::string unit, JobShare share) override {
        if (unit.starts_with("p2prcd-deploy-")) {
            if (const auto job = deploy_jobs_.find(unit); job != deploy_jobs_.end()) {
                calls.push_back("stop " + unit);
                job->second->cancel();
                deploy_jobs_.erase(job);
            }
            if (deployed_.erase(unit) == 1) calls.push_back("stop " + unit);
            co_return std::string("done");
        }
        calls.push_back("stop " + unit);
        shares[unit] = share;
        notice_units.erase(unit);
        if (const auto job = deploy_jobs_.find(unit); job != deploy_jobs_.end()) {
            job->second->cancel();
            deploy_jobs_.erase(job);
            co_return std::string("done");
        }
        end_start_job("canceled");
        const auto executor = co_await boost::asio::this_coro::executor;
        boost::asio::steady_timer stopping(executor, stop_takes);
        co_await stopping.async_wait(boost::asio::use_awaitable);
        // What has failed stays so.
        if (const auto found = loaded.find(unit); found != loaded.end() && !found->second.dead())
            end(unit, {"success", CLD_KILLED, SIGTERM, ""});
        co_return std::string("done");
    }

    boost::asio::awaitable<Result<void>> set_properties(std::string unit,
                                                        std::vector<UnitProperty> properties) override {
        calls.push_back("set " + unit);
        if (refuse_set) co_return std::unexpected(*refuse_set);
        changed_properties[unit] = std::move(properties);
        co_return Result<void>{};
    }

    boost::asio::awaitable<Result<void>> freeze(std::string unit) override {
        calls.push_back("freeze " + unit);
        if (refuse_freeze) co_return std::unexpected(*refuse_freeze);
        set_frozen(unit, true);
        co_return Result<void>{};
    }
    boost::asio::awaitable<Result<void>> thaw(std::string unit) override {
        calls.push_back("thaw " + unit);
        set_frozen(unit, false);
        co_return Result<void>{};
    }
    void set_frozen(const std::string& unit, bool frozen) {
        auto view = loaded.at(unit);
        view.frozen = frozen;
        tell(view);
    }

    boost::asio::awaitable<Result<void>> reset_failed(std::string unit) override {
        if (!unit.starts_with("p2prcd-deploy-")) calls.push_back("reset " + unit);
        // Its signals come after the answer.
        const auto executor = co_await boost::asio::this_coro::executor;
        boost::asio::post(executor, [this, unit] { forget_failure(unit); });
        co_return Result<void>{};
    }

    boost::asio::awaitable<Result<UnitView>> view_of(std::string unit) override {
        const auto found = loaded.find(unit);
        UnitView view;
        view.unit = unit;
        view.active_state = "inactive";
        if (unit.starts_with("p2prcd-deploy-")) view.result = deploy_ended;
        if (notice_units.contains(unit)) view.active_state = "active";
        co_return found == loaded.end() ? view : found->second;
    }

    Word system_state() override {
        // What is under way meanwhile is told first.
        co_await boost::asio::post(co_await boost::asio::this_coro::executor, boost::asio::use_awaitable);
        co_return state;
    }
    Word features() override { co_return built_with; }

    // What happens by itself.
    void notify(const std::string& unit) {
        auto view = loaded.at(unit);
        view.active_state = "active";
        view.sub_state = "running";
        tell(view);
        end_start_job("done");
    }
    // Of a start whose notification is waited for.
    void end_start_job(const std::string& result) {
        if (!start_job_) return;
        start_result_ = result;
        start_job_->cancel();
        start_job_.reset();
    }
    void end(const std::string& unit, const UnitResult& result) {
        auto view = loaded.at(unit);
        view.active_state = result.result == "success" ? "inactive" : "failed";
        view.sub_state = view.active_state == "failed" ? "failed" : "dead";
        view.result = result;
        view.main_pid = 0;
        tell(view);
        if (view.active_state == "inactive") remove(unit);
    }
    void crash_and_restart(const std::string& unit, const UnitResult& result) {
        auto view = loaded.at(unit);
        view.result = result;
        view.active_state = "failed"; // for an instant
        tell(view);
        view.active_state = "activating";
        view.sub_state = "auto-restart";
        tell(view);
    }
    void runs_again(const std::string& unit) {
        auto view = loaded.at(unit);
        view.result = {};
        view.active_state = "inactive"; // for an instant, with the new run's empty result
        view.sub_state = "dead";
        tell(view);
        view.active_state = "active";
        view.sub_state = "running";
        view.invocation = next_invocation();
        ++view.restarts;
        tell(view);
    }
    void remove(const std::string& unit) {
        if (loaded.erase(unit) > 0 && events.gone) events.gone(unit);
    }
    void tell(const UnitView& view) {
        loaded[view.unit] = view;
        if (events.changed) events.changed(UnitView(view));
    }

    std::map<std::string, UnitView> loaded;
    std::map<std::string, UnitView> unlisted; // there, but nobody was told
    std::vector<std::string> calls;
    std::vector<std::string> cleanings;                       // drop-ins of its units
    std::vector<std::string> port_units;                      // runs of p2prcd-ports
    std::vector<std::string> port_words;                      // the last one's command
    std::map<std::string, std::vector<UnitProperty>> started; // what was asked for last
    std::map<std::string, std::vector<UnitProperty>> changed_properties;
    std::map<std::string, JobShare> shares; // whose work the last job was
    bool pins = true;                       // this machine has BPF
    std::chrono::milliseconds unpin_takes{0};
    std::chrono::milliseconds stop_takes{0}; // of a process's unit
    std::optional<UnitResult> fail_start_with;
    int fail_starts = -1; // so many of them; negative: all
    std::optional<Error> refuse_start, refuse_freeze, refuse_set, refuse_notice;
    std::function<void(const std::string& word)> copy_removal; // of the removal of a copy
    std::set<std::string> notice_units;                        // units of notices that are loaded
    std::chrono::milliseconds volumes_take{0};                 // until they are made, or that is stopped
    std::optional<UnitResult> end_at_once;                     // as soon as the command is executed
    std::function<std::string()> copier;                       // copies the data; the word of its job
    std::function<std::string()> deployer;                     // what a deployer does; the word of its job
    UnitResult deploy_ended;                                   // of one that failed
    std::chrono::milliseconds deploy_takes{0};                 // until it is stopped, or is over
    std::shared_ptr<const net::UniqueFd> deploy_input;         // of the last one
    std::vector<std::shared_ptr<const net::UniqueFd>> notices; // the input of each notifier that was run
    std::uint32_t main_pid = 100;
    bool throw_once = false;
    std::string state = "running";
    std::string built_with = "+PAM +BPF_FRAMEWORK +SECCOMP";
    SystemdEvents events;

  private:
    // ResetFailedUnit: inactive, with the data of its last run.
    void forget_failure(const std::string& unit) {
        const auto failed = loaded.find(unit);
        if (failed == loaded.end() || !failed->second.dead()) return;
        auto forgotten = failed->second;
        forgotten.active_state = "inactive";
        tell(forgotten);
        remove(unit);
    }
    std::string next_invocation() { return "invocation" + std::to_string(++runs_); }
    int runs_ = 0;
    std::shared_ptr<boost::asio::steady_timer> start_job_;
    std::map<std::string, std::shared_ptr<boost::asio::steady_timer>> deploy_jobs_;
    std::set<std::string> deployed_; // units that have ended well and are not stopped yet
    std::string start_result_;
};

class FakeJournal : public JournalTail {
  public:
    boost::asio::awaitable<std::vector<std::string>> last_lines(std::string, std::uint32_t, std::string,
                                                                std::size_t) override {
        co_return lines;
    }
    boost::asio::awaitable<std::string> last_line(std::string, std::uint64_t) override {
        co_return lines.empty() ? std::string() : lines.back();
    }
    boost::asio::awaitable<std::optional<LoggedEnd>> logged_end(std::string, std::string running) override {
        if (logged && !running.empty() && logged->invocation == running) co_return std::nullopt;
        co_return logged;
    }

    boost::asio::awaitable<std::optional<BootGap>> boot_gap() override { co_return gap; }

    std::optional<BootGap> gap;
    std::vector<std::string> lines{"last words"};
    std::optional<LoggedEnd> logged;
};

} // namespace p2prc::process

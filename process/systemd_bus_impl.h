// The inside of the seam to systemd, shared by its source files. systemd_bus.cpp: the connection;
// systemd_bus_signals.cpp: what systemd tells by itself; systemd_bus_units.cpp: reading units;
// systemd_bus_jobs.cpp: starting and stopping them.
#pragma once

#include "dbus/bus.h"
#include "dbus/systemd_names.h"
#include "process/drop_ins.h"
#include "process/job_queues.h"
#include "process/systemd_bus.h"
#include "process/unit_names.h"
#include "process/unit_view_reader.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace p2prc::process {

namespace systemd = dbus::systemd;

// A unit as it is asked for by its name, which need not be one of ours, or be loaded at all.
struct FoundUnit {
    UnitView view;
    UnitOrigin origin;
    bool ours() const { return origin.transient && is_process_slice(origin.slice) && view.process != 0; }
};

// A job that somebody waits for.
struct JobWait {
    JobWait(const boost::asio::any_io_executor& executor, std::chrono::milliseconds timeout)
        : timer(executor, timeout) {}
    boost::asio::steady_timer timer;
    std::string result; // empty: not over
};

class SystemdBus::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(dbus::Bus& bus, std::filesystem::path drop_ins, std::chrono::milliseconds timeout)
        : bus_(bus)
        , drop_ins_(std::move(drop_ins))
        , timeout_(timeout) {}

    boost::asio::awaitable<Result<void>> connect();
    boost::asio::awaitable<Result<std::vector<UnitView>>> units();
    boost::asio::awaitable<Result<std::string>> start(std::string unit, TransientUnit content,
                                                      JobShare share);
    boost::asio::awaitable<Result<std::string>> stop(std::string unit, JobShare share);
    boost::asio::awaitable<Result<void>> set_properties(std::string unit,
                                                        std::vector<UnitProperty> properties);
    boost::asio::awaitable<Result<void>> freeze(std::string unit, bool frozen);
    boost::asio::awaitable<Result<void>> reset_failed(std::string unit);
    boost::asio::awaitable<Result<UnitView>> view_of(std::string unit);
    boost::asio::awaitable<Result<std::string>> text_property(const char* name);
    boost::asio::awaitable<Result<std::string>> boot();

    SystemdEvents events;
    bool closed = false;

  private:
    // What changes while a unit is busy with a job of ours is ours.
    struct OwnJob {
        OwnJob(Impl& impl, std::string unit) : impl_(impl), unit_(std::move(unit)) {
            impl_.own_.insert(unit_);
        }
        ~OwnJob() {
            impl_.own_.erase(impl_.own_.find(unit_));
            if (impl_.own_.empty()) impl_.finished_.clear();
        }
        OwnJob(const OwnJob&) = delete;
        OwnJob& operator=(const OwnJob&) = delete;

      private:
        Impl& impl_;
        std::string unit_;
    };

    // What signals said of units while a list of all of them is read, which takes many calls.
    struct Listing {
        explicit Listing(Impl& impl) : impl_(impl) { impl_.listings_.insert(this); }
        ~Listing() { impl_.listings_.erase(this); }
        Listing(const Listing&) = delete;
        Listing& operator=(const Listing&) = delete;
        std::set<std::string> changed;
        std::set<std::string> removed;

      private:
        Impl& impl_;
    };

    // Tells one who waits that a unit was removed, a job of it is over or its state changed. What comes
    // between its making and the wait counts.
    class News {
      public:
        News(Impl& impl, std::string unit)
            : impl_(impl)
            , unit_(std::move(unit))
            , path_(dbus::path_encode(systemd::unit_prefix, unit_))
            , timer_(impl.bus_.executor()) {
            impl_.news_.insert(this);
        }
        ~News() { impl_.news_.erase(this); }
        News(const News&) = delete;
        News& operator=(const News&) = delete;

        boost::asio::awaitable<void> wait(boost::asio::steady_timer::time_point deadline) {
            timer_.expires_at(deadline);
            boost::system::error_code ignored;
            if (!came_)
                co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
            came_ = false;
        }
        void tell(const std::string& unit) {
            if (unit == unit_) came();
        }
        void tell_of(std::string_view path) {
            if (path == path_) came();
        }

      private:
        void came() {
            came_ = true;
            timer_.cancel();
        }

        Impl& impl_;
        std::string unit_;
        std::string path_; // of its object
        boost::asio::steady_timer timer_;
        bool came_ = false;
    };

    boost::asio::awaitable<dbus::Message> call(const char* member, std::vector<std::string> texts);
    boost::asio::awaitable<Result<std::string>> start_written(std::string unit, const TransientUnit& content,
                                                              bool& accepted);
    boost::asio::awaitable<Result<dbus::Message>> send_start(std::string unit, const TransientUnit& content);
    boost::asio::awaitable<Result<std::string>> wait_job(dbus::Message reply,
                                                         std::chrono::milliseconds limit);
    boost::asio::awaitable<Result<std::string>> wait_run(std::string unit, News& news,
                                                         std::chrono::seconds limit);
    boost::asio::awaitable<Result<std::string>> stop_job(std::string unit);
    boost::asio::awaitable<Result<void>> kill(std::string unit);
    boost::asio::awaitable<Result<void>> subscribe();
    boost::asio::awaitable<Result<FoundUnit>> read_unit(std::string unit);
    boost::asio::awaitable<void> resync();
    Result<void> add_match(const std::string& rule, void (Impl::*handler)(const dbus::Message&));
    void on_properties(const dbus::Message& message);
    void on_unit_removed(const dbus::Message& message);
    void on_job_new(const dbus::Message& message);
    void on_job_removed(const dbus::Message& message);
    void on_reloading(const dbus::Message& message);
    void on_owner(const std::string& owner);

    dbus::Bus& bus_;
    DropIns drop_ins_;
    std::chrono::milliseconds timeout_; // of a job
    JobQueues slots_;
    std::uint64_t resyncs_ = 0;
    std::vector<dbus::Registration> matches_;
    std::map<std::string, UnitView> views_;
    std::multiset<std::string> own_;
    std::set<Listing*> listings_;
    std::set<News*> news_;
    // By the job's path, never by the unit's name; more than one may wait for it.
    std::multimap<std::string, std::shared_ptr<JobWait>> waits_;
    std::map<std::string, std::string> finished_; // jobs that ended before their path was known here
};

} // namespace p2prc::process

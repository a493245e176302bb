#include "daemon/process/systemd_bus.h"

#include "daemon/process/append_json.h"
#include "daemon/process/job_slots.h"
#include "daemon/process/unit_names.h"
#include "daemon/process/unit_view_reader.h"
#include "dbus/bus.h"
#include "net/clock.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

#include <fstream>
#include <map>
#include <set>

namespace p2prc::daemon {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using asio::awaitable;
using namespace std::chrono_literals;

namespace {

const std::string manager_name = "org.freedesktop.systemd1";
const std::string manager_path = "/org/freedesktop/systemd1";
const std::string manager_interface = "org.freedesktop.systemd1.Manager";
const std::string properties_interface = "org.freedesktop.DBus.Properties";
const std::string unit_path = "/org/freedesktop/systemd1/unit";
// sd_bus_path_encode of "p2prc-": units of others are told apart without decoding their paths.
const std::string our_path_prefix = unit_path + "/p2prc_2d";

constexpr std::string_view drop_in_name = "p2prc-command.conf";
constexpr int resync_attempts = 10;
constexpr int listing_rounds = 20; // of a unit that changes all the time the last state read will do
constexpr auto resync_pause = 500ms;
constexpr std::size_t jobs_at_once = 16;
// How long a unit that has ended may hold its name until systemd has removed it.
constexpr auto removal_timeout = 10s;
// Longer than a stop command and a stop may take by the limits of the unit.
constexpr auto job_timeout = 150s;

// A unit as it is asked for by its name, which need not be one of ours, or be loaded at all.
struct FoundUnit {
    UnitView view;
    UnitOrigin origin;
    bool ours() const { return origin.transient && origin.slice == process_slice && view.process != 0; }
};

// A job that somebody waits for.
struct JobWait {
    explicit JobWait(const asio::any_io_executor& executor) : timer(executor, job_timeout) {}
    asio::steady_timer timer;
    std::string result; // empty: not over
};

Result<void> append_properties(sd_bus_message* call, const std::vector<UnitProperty>& properties) {
    const auto checked = [](int result) -> Result<void> {
        if (result < 0)
            return std::unexpected(dbus::bus_error("cannot write the properties of a unit", result));
        return {};
    };
    if (auto opened = checked(sd_bus_message_open_container(call, 'a', "(sv)")); !opened) return opened;
    for (const auto& [name, signature, value] : properties) {
        int result = sd_bus_message_open_container(call, 'r', "sv");
        if (result >= 0) result = sd_bus_message_append(call, "s", name.c_str());
        if (result >= 0) result = sd_bus_message_open_container(call, 'v', signature.c_str());
        if (result < 0) return checked(result);
        if (auto done = append_json(call, signature, value); !done) return done;
        result = sd_bus_message_close_container(call);
        if (result >= 0) result = sd_bus_message_close_container(call);
        if (result < 0) return checked(result);
    }
    int result = sd_bus_message_close_container(call);
    if (result >= 0) result = sd_bus_message_append(call, "a(sa(sv))", 0); // no auxiliary units
    return checked(result);
}

void note_marks(const std::vector<UnitProperty>& properties, UnitView& view) {
    for (const auto& property : properties) {
        if (property.name != "LogExtraFields") continue;
        for (const auto& field : property.value)
            apply_journal_field(field.get_ref<const std::string&>(), view);
    }
}

} // namespace

class SystemdBus::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(dbus::Bus& bus, fs::path drop_ins)
        : bus_(bus)
        , drop_ins_(std::move(drop_ins))
        , slots_(bus.executor(), jobs_at_once) {}

    awaitable<Result<void>> connect();
    awaitable<Result<std::vector<UnitView>>> units();
    awaitable<Result<std::string>> start(std::string unit, TransientUnit content);
    awaitable<Result<std::string>> stop(std::string unit);
    awaitable<Result<void>> reset_failed(std::string unit);
    awaitable<Result<std::string>> state();
    awaitable<Result<std::string>> boot();

    SystemdEvents events;

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

    // Tells one who waits that a unit was removed, or a job of it is over. What comes between its making and
    // the wait counts.
    class News {
      public:
        News(Impl& impl, std::string unit)
            : impl_(impl)
            , unit_(std::move(unit))
            , timer_(impl.bus_.executor()) {
            impl_.news_.insert(this);
        }
        ~News() { impl_.news_.erase(this); }
        News(const News&) = delete;
        News& operator=(const News&) = delete;

        awaitable<void> wait(asio::steady_timer::time_point deadline) {
            timer_.expires_at(deadline);
            boost::system::error_code ignored;
            if (!came_) co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
            came_ = false;
        }
        void tell(const std::string& unit) {
            if (unit != unit_) return;
            came_ = true;
            timer_.cancel();
        }

      private:
        Impl& impl_;
        std::string unit_;
        asio::steady_timer timer_;
        bool came_ = false;
    };

    awaitable<dbus::Message> call(const char* member, std::vector<std::string> texts);
    awaitable<Result<std::string>> start_written(std::string unit,
                                                 const std::vector<UnitProperty>& properties);
    awaitable<Result<dbus::Message>> send_start(std::string unit,
                                                const std::vector<UnitProperty>& properties);
    awaitable<Result<std::string>> wait_job(dbus::Message reply);
    awaitable<Result<void>> subscribe();
    awaitable<Result<FoundUnit>> read_unit(std::string unit);
    awaitable<void> resync();
    Result<void> add_match(const std::string& rule, void (Impl::*handler)(const dbus::Message&));
    void on_properties(const dbus::Message& message);
    void on_unit_removed(const dbus::Message& message);
    void on_job_new(const dbus::Message& message);
    void on_job_removed(const dbus::Message& message);
    void on_reloading(const dbus::Message& message);
    void on_owner(const std::string& owner);

    std::string read_drop_in(const std::string& unit) const;
    Result<void> write_drop_in(const std::string& unit, const std::string& text) const;
    void remove_drop_in(const std::string& unit) const;

    dbus::Bus& bus_;
    fs::path drop_ins_;
    JobSlots slots_;
    std::vector<dbus::Registration> matches_;
    std::map<std::string, UnitView> views_;
    std::multiset<std::string> own_;
    std::set<Listing*> listings_;
    std::set<News*> news_;
    std::map<std::string, std::shared_ptr<JobWait>> waits_; // by the job's path, never by the unit's name
    std::map<std::string, std::string> finished_; // jobs that ended before their path was known here
};

Result<void> SystemdBus::Impl::add_match(const std::string& rule,
                                         void (Impl::*handler)(const dbus::Message&)) {
    const auto weak = weak_from_this();
    auto match = bus_.match("type='signal',sender='" + manager_name + "'," + rule,
                            [weak, handler](const dbus::Message& m) {
                                if (const auto self = weak.lock()) (self.get()->*handler)(m);
                            });
    if (!match) return std::unexpected(match.error());
    matches_.push_back(std::move(*match));
    return {};
}

awaitable<Result<void>> SystemdBus::Impl::connect() {
    const std::string from_manager =
        "path='" + manager_path + "',interface='" + manager_interface + "',member='";
    // One match for the properties of all units: a match each would meet the bus's limit of 512.
    auto done = add_match("interface='" + properties_interface +
                              "',member='PropertiesChanged',path_namespace='" + unit_path + "'",
                          &Impl::on_properties);
    if (done) done = add_match(from_manager + "UnitRemoved'", &Impl::on_unit_removed);
    if (done) done = add_match(from_manager + "JobNew'", &Impl::on_job_new);
    if (done) done = add_match(from_manager + "JobRemoved'", &Impl::on_job_removed);
    if (done) done = add_match(from_manager + "Reloading'", &Impl::on_reloading);
    if (!done) co_return done;
    const auto weak = weak_from_this();
    auto watch = bus_.watch_name(manager_name, [weak](const std::string& owner) {
        if (const auto self = weak.lock()) self->on_owner(owner);
    });
    if (!watch) co_return std::unexpected(watch.error());
    matches_.push_back(std::move(*watch));
    co_return co_await subscribe();
}

// systemd sends no signals at all before somebody has subscribed, and forgets it when it loses the bus.
awaitable<Result<void>> SystemdBus::Impl::subscribe() {
    const std::vector<std::string> arguments;
    const auto reply = co_await call("Subscribe", arguments);
    if (reply.is_error() && reply.error_name() != "org.freedesktop.systemd1.AlreadySubscribed") {
        auto error = reply.to_error();
        error.message = "cannot subscribe to systemd's signals: " + error.message;
        co_return std::unexpected(error);
    }
    co_return Result<void>{};
}

awaitable<dbus::Message> SystemdBus::Impl::call(const char* member, std::vector<std::string> texts) {
    auto message = bus_.new_call(manager_name, manager_path, manager_interface, member);
    if (!message) co_return dbus::Message();
    for (const auto& text : texts)
        sd_bus_message_append(message->get(), "s", text.c_str());
    co_return co_await bus_.exchange(*message);
}

void SystemdBus::Impl::on_properties(const dbus::Message& message) {
    const auto path = message.path();
    if (!path.starts_with(our_path_prefix)) return;
    const char* interface = nullptr;
    if (sd_bus_message_read(message.get(), "s", &interface) <= 0) return;
    const std::string_view name = interface;
    if (name != "org.freedesktop.systemd1.Unit" && name != "org.freedesktop.systemd1.Service") return;
    const auto unit = dbus::path_decode(unit_path, path);
    if (process_of_unit(unit).empty()) return;
    for (auto* listing : listings_) {
        listing->changed.insert(unit);
        listing->removed.erase(unit);
    }
    auto& view = views_[unit];
    view.unit = unit;
    if (!read_unit_properties(message.get(), view)) return;
    // The service's own properties come first; together with the unit's state they are complete.
    if (name == "org.freedesktop.systemd1.Unit" && events.changed) events.changed(UnitView(view));
}

void SystemdBus::Impl::on_unit_removed(const dbus::Message& message) {
    const char* unit = nullptr;
    if (sd_bus_message_read(message.get(), "so", &unit, nullptr) <= 0) return;
    const std::string name = unit;
    for (auto* news : news_)
        news->tell(name);
    const auto view = views_.find(name);
    // systemd also says so of every unit when it reloads or executes itself anew; what runs is not removed,
    // and the resync that follows settles the rest.
    if (view == views_.end() || !view->second.dead()) return;
    views_.erase(view);
    for (auto* listing : listings_) {
        listing->changed.erase(name); // reading it would load an empty unit of its name
        listing->removed.insert(name);
    }
    if (!own_.contains(name)) remove_drop_in(name);
    if (events.gone) events.gone(name);
}

void SystemdBus::Impl::on_job_new(const dbus::Message& message) {
    const char* unit = nullptr;
    if (sd_bus_message_read(message.get(), "uos", nullptr, nullptr, &unit) <= 0) return;
    const std::string name = unit;
    if (own_.contains(name) || process_of_unit(name).empty()) return;
    if (events.outside_job) events.outside_job(name, true);
}

void SystemdBus::Impl::on_job_removed(const dbus::Message& message) {
    const char *path = nullptr, *unit = nullptr, *result = nullptr;
    if (sd_bus_message_read(message.get(), "uoss", nullptr, &path, &unit, &result) <= 0) return;
    const std::string name = unit;
    for (auto* news : news_)
        news->tell(name);
    if (!own_.contains(name) && !process_of_unit(name).empty() && events.outside_job)
        events.outside_job(name, false);
    if (const auto wait = waits_.find(path); wait != waits_.end()) {
        wait->second->result = result;
        wait->second->timer.cancel();
    } else if (!own_.empty()) {
        finished_[path] = result;
    }
}

void SystemdBus::Impl::on_reloading(const dbus::Message& message) {
    int active = 0;
    if (sd_bus_message_read(message.get(), "b", &active) <= 0 || active) return;
    asio::co_spawn(bus_.executor(), resync(), asio::detached);
}

void SystemdBus::Impl::on_owner(const std::string& owner) {
    for (const auto& [path, wait] : waits_) {
        wait->result = "manager-gone";
        wait->timer.cancel();
    }
    if (!owner.empty()) asio::co_spawn(bus_.executor(), resync(), asio::detached);
}

awaitable<void> SystemdBus::Impl::resync() {
    const auto self = shared_from_this();
    // While it executes itself anew the manager answers badly, or not at all.
    for (int attempt = 0; attempt < resync_attempts; ++attempt) {
        if (attempt > 0) {
            asio::steady_timer timer(bus_.executor(), resync_pause);
            boost::system::error_code ignored;
            co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        }
        const auto subscribed = co_await subscribe();
        if (!subscribed) continue;
        const auto all = co_await units();
        if (!all) continue;
        if (events.resynced) events.resynced(*all);
        co_return;
    }
}

// Reading a unit that is not loaded loads an empty one of its name, which shows as neither transient nor
// ours, and is removed again at once.
awaitable<Result<FoundUnit>> SystemdBus::Impl::read_unit(std::string unit) {
    FoundUnit found;
    found.view.unit = unit;
    found.view.active_state = "inactive";
    const auto path = dbus::path_encode(unit_path, unit);
    for (const auto* interface : {"org.freedesktop.systemd1.Service", "org.freedesktop.systemd1.Unit"}) {
        auto message = bus_.new_call(manager_name, path, properties_interface, "GetAll");
        if (!message) co_return std::unexpected(message.error());
        sd_bus_message_append(message->get(), "s", interface);
        const auto reply = co_await bus_.exchange(*message);
        if (reply.error_name() == "org.freedesktop.systemd1.NoSuchUnit" ||
            reply.error_name() == "org.freedesktop.DBus.Error.UnknownObject")
            break;
        if (reply.is_error()) co_return std::unexpected(reply.to_error());
        if (const auto read = read_unit_properties(reply.get(), found.view, &found.origin); !read)
            co_return std::unexpected(read.error());
    }
    co_return found;
}

awaitable<Result<std::vector<UnitView>>> SystemdBus::Impl::units() {
    const auto self = shared_from_this();
    Listing listing(*this);
    auto message = bus_.new_call(manager_name, manager_path, manager_interface, "ListUnitsByPatterns");
    if (!message) co_return std::unexpected(message.error());
    sd_bus_message_append(message->get(), "asas", 0, 1, "p2prc-*.service");
    const auto reply = co_await bus_.exchange(*message);
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    std::set<std::string> listed;
    int result = sd_bus_message_enter_container(reply.get(), 'a', "(ssssssouso)");
    const char *unit = nullptr, *load = nullptr;
    while (result >= 0 &&
           (result = sd_bus_message_read(reply.get(), "(ssssssouso)", &unit, nullptr, &load, nullptr, nullptr,
                                         nullptr, nullptr, nullptr, nullptr, nullptr)) > 0)
        if (std::string_view(load) != "not-found" && !process_of_unit(unit).empty()) listed.insert(unit);
    if (result < 0) co_return std::unexpected(dbus::bus_error("cannot read systemd's list of units", result));
    // What has come or changed meanwhile is read again, so that the list is true when it is returned: the
    // signals have been and will not come again.
    std::map<std::string, UnitView> found;
    listed.merge(listing.changed);
    for (int round = 0; !listed.empty() && round < listing_rounds; ++round) {
        for (const auto& name : listed) {
            listing.changed.erase(name);
            listing.removed.erase(name);
            // It may have ended since it was listed.
            auto now = co_await read_unit(name);
            if (!now) co_return std::unexpected(now.error());
            found.erase(name);
            if (now->ours()) found.emplace(name, std::move(now->view));
        }
        for (const auto& name : std::exchange(listing.removed, {}))
            found.erase(name);
        listed = std::exchange(listing.changed, {});
    }
    views_ = found;
    std::vector<UnitView> views;
    for (auto& [name, view] : found)
        views.push_back(std::move(view));
    co_return views;
}

awaitable<Result<dbus::Message>> SystemdBus::Impl::send_start(std::string unit,
                                                              const std::vector<UnitProperty>& properties) {
    auto message = bus_.new_call(manager_name, manager_path, manager_interface, "StartTransientUnit");
    if (!message) co_return std::unexpected(message.error());
    sd_bus_message_append(message->get(), "ss", unit.c_str(), "fail");
    if (const auto written = append_properties(message->get(), properties); !written)
        co_return std::unexpected(written.error());
    co_return co_await bus_.exchange(*message);
}

awaitable<Result<std::string>> SystemdBus::Impl::wait_job(dbus::Message reply) {
    const char* path = nullptr;
    const int read = sd_bus_message_read(reply.get(), "o", &path);
    if (read <= 0) co_return std::unexpected(dbus::bus_error("cannot read the path of systemd's job", read));
    const std::string job = path;
    if (const auto done = finished_.find(job); done != finished_.end()) co_return done->second;
    const auto wait = std::make_shared<JobWait>(bus_.executor());
    waits_[job] = wait;
    boost::system::error_code ignored;
    co_await wait->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    waits_.erase(job);
    if (wait->result.empty())
        co_return fail(ErrorCode::Failed, "systemd did not finish a job in time", "see systemctl list-jobs");
    if (wait->result == "manager-gone")
        co_return fail(ErrorCode::Unreachable, "systemd left the bus during a job");
    co_return wait->result;
}

awaitable<Result<std::string>> SystemdBus::Impl::start(std::string unit, TransientUnit content) {
    const auto self = shared_from_this();
    const auto slot = co_await slots_.acquire();
    const OwnJob own(*this, unit);
    const auto former = read_drop_in(unit);
    if (const auto written = write_drop_in(unit, content.drop_in); !written)
        co_return std::unexpected(written.error());
    const auto done = co_await start_written(unit, content.properties);
    if (done || done.error().code != ErrorCode::Conflict) co_return done;
    // What has the name keeps its own command.
    remove_drop_in(unit);
    if (const auto restored = write_drop_in(unit, former); !restored)
        co_return std::unexpected(restored.error());
    co_return done;
}

awaitable<Result<std::string>> SystemdBus::Impl::start_written(std::string unit,
                                                               const std::vector<UnitProperty>& properties) {
    News news(*this, unit);
    const auto deadline = std::chrono::steady_clock::now() + removal_timeout;
    for (;;) {
        const auto reply = co_await send_start(unit, properties);
        if (!reply) co_return std::unexpected(reply.error());
        if (!reply->is_error()) {
            // Its first signals may be here already; they bring everything but the marks.
            auto& view = views_[unit];
            view.unit = unit;
            note_marks(properties, view);
            co_return co_await wait_job(*reply);
        }
        if (reply->error_name() != "org.freedesktop.systemd1.UnitExists")
            co_return std::unexpected(reply->to_error());
        const auto holder = co_await read_unit(unit);
        if (!holder) co_return std::unexpected(holder.error());
        const auto& state = holder->view.active_state;
        const bool ends = holder->view.dead() || state == "deactivating";
        if (!ends || std::chrono::steady_clock::now() >= deadline) {
            if (holder->ours()) {
                views_[unit] = holder->view;
                if (events.changed) events.changed(UnitView(holder->view));
            }
            co_return fail(ErrorCode::Conflict,
                           fmt::format("systemd has a unit {} already, which is {}{}", unit, state,
                                       holder->ours() ? "" : " and was not made by p2prc"),
                           fmt::format("see systemctl status {}", unit));
        }
        // A failed unit keeps its name until somebody says that its failure has been seen; one that has ended
        // otherwise, until systemd comes round to removing it.
        if (state == "failed") {
            if (const auto reset = co_await reset_failed(unit); !reset)
                co_return std::unexpected(reset.error());
        } else {
            co_await news.wait(deadline);
        }
    }
}

awaitable<Result<std::string>> SystemdBus::Impl::stop(std::string unit) {
    const auto self = shared_from_this();
    const auto slot = co_await slots_.acquire();
    const OwnJob own(*this, unit);
    const std::vector<std::string> arguments{unit, "replace"};
    const auto reply = co_await call("StopUnit", arguments);
    if (reply.error_name() == "org.freedesktop.systemd1.NoSuchUnit") co_return std::string("done");
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    co_return co_await wait_job(reply);
}

awaitable<Result<void>> SystemdBus::Impl::reset_failed(std::string unit) {
    const auto self = shared_from_this();
    const std::vector<std::string> arguments{unit};
    const auto reply = co_await call("ResetFailedUnit", arguments);
    if (reply.is_error() && reply.error_name() != "org.freedesktop.systemd1.NoSuchUnit")
        co_return std::unexpected(reply.to_error());
    co_return Result<void>{};
}

awaitable<Result<std::string>> SystemdBus::Impl::state() {
    const auto self = shared_from_this();
    auto message = bus_.new_call(manager_name, manager_path, properties_interface, "Get");
    if (!message) co_return std::unexpected(message.error());
    sd_bus_message_append(message->get(), "ss", manager_interface.c_str(), "SystemState");
    const auto reply = co_await bus_.exchange(*message);
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    const char* text = nullptr;
    const int read = sd_bus_message_read(reply.get(), "v", "s", &text);
    if (read <= 0) co_return std::unexpected(dbus::bus_error("cannot read systemd's state", read));
    co_return std::string(text);
}

std::string SystemdBus::Impl::read_drop_in(const std::string& unit) const {
    std::ifstream file(drop_ins_ / (unit + ".d") / drop_in_name);
    return {std::istreambuf_iterator<char>(file), {}};
}

Result<void> SystemdBus::Impl::write_drop_in(const std::string& unit, const std::string& text) const {
    if (text.empty()) return {};
    const auto directory = drop_ins_ / (unit + ".d");
    std::error_code error;
    fs::create_directories(directory, error);
    // Readable, as everything about a unit is, whatever our umask.
    const auto readable =
        fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read | fs::perms::others_read;
    const auto enterable = readable | fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec;
    if (!error) fs::permissions(directory, enterable, error);
    const auto path = directory / drop_in_name;
    if (!error) {
        std::ofstream file(path, std::ios::trunc);
        file << text;
        file.close();
        if (!file) error = std::make_error_code(std::errc::io_error);
    }
    if (!error) fs::permissions(path, readable, error);
    if (error)
        return std::unexpected(system_error(fmt::format("cannot write {}", path.string()), error.value()));
    return {};
}

// The directory stays where an administrator has put something of their own into it.
void SystemdBus::Impl::remove_drop_in(const std::string& unit) const {
    const auto directory = drop_ins_ / (unit + ".d");
    std::error_code ignored;
    fs::remove(directory / drop_in_name, ignored);
    fs::remove(directory, ignored);
}

awaitable<Result<std::string>> SystemdBus::Impl::boot() {
    const auto self = shared_from_this();
    auto message = bus_.new_call(manager_name, manager_path, properties_interface, "Get");
    if (!message) co_return std::unexpected(message.error());
    sd_bus_message_append(message->get(), "ss", manager_interface.c_str(), "UserspaceTimestampMonotonic");
    const auto reply = co_await bus_.exchange(*message);
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    std::uint64_t since = 0;
    const int read = sd_bus_message_read(reply.get(), "v", "t", &since);
    if (read <= 0) co_return std::unexpected(dbus::bus_error("cannot read when systemd began", read));
    co_return fmt::format("{}-{}", net::boot_id(), since);
}

SystemdBus::SystemdBus(dbus::Bus& bus, fs::path drop_ins)
    : impl_(std::make_shared<Impl>(bus, std::move(drop_ins))) {}
SystemdBus::~SystemdBus() {
    impl_->events = {};
}

awaitable<Result<void>> SystemdBus::connect() {
    return impl_->connect();
}
awaitable<Result<std::string>> SystemdBus::boot_identity() {
    return impl_->boot();
}
void SystemdBus::on_events(SystemdEvents events) {
    impl_->events = std::move(events);
}
awaitable<Result<std::vector<UnitView>>> SystemdBus::units() {
    return impl_->units();
}
awaitable<Result<std::string>> SystemdBus::start_transient(std::string unit, TransientUnit content) {
    return impl_->start(std::move(unit), std::move(content));
}
awaitable<Result<std::string>> SystemdBus::stop(std::string unit) {
    return impl_->stop(std::move(unit));
}
awaitable<Result<void>> SystemdBus::reset_failed(std::string unit) {
    return impl_->reset_failed(std::move(unit));
}
awaitable<Result<std::string>> SystemdBus::system_state() {
    return impl_->state();
}

} // namespace p2prc::daemon

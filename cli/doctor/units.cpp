// The units of p2prc under systemd.
#include "cli/doctor/check.h"
#include "cli/output.h"
#include "core/bind_rule.h"
#include "core/machine_role.h"
#include "core/text.h"
#include "dbus/bus.h"
#include "dbus/codec.h"
#include "dbus/systemd_names.h"
#include "net/cgroups.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>

namespace p2prc::cli {
namespace {

using boost::asio::awaitable;
namespace systemd = dbus::systemd;

constexpr const char* daemon_unit = "p2prcd.service";
constexpr const char* control_socket = "p2prcd-control.socket";
constexpr const char* edge = "p2prc-edge.service";

awaitable<Result<nlohmann::json>> property(dbus::Bus& bus, std::string path, const char* interface,
                                           const char* name) {
    auto get = bus.new_call(systemd::service, path, systemd::properties_interface, "Get");
    if (!get) co_return std::unexpected(get.error());
    sd_bus_message_append(get->get(), "ss", interface, name);
    auto reply = co_await bus.call(std::move(*get));
    if (!reply) co_return std::unexpected(reply.error());
    co_return dbus::read_value(*reply);
}

awaitable<Result<std::string>> text_property(dbus::Bus& bus, std::string path, const char* interface,
                                             const char* name) {
    const auto value = co_await property(bus, std::move(path), interface, name);
    if (!value) co_return std::unexpected(value.error());
    if (!value->is_string()) co_return fail(ErrorCode::Failed, "systemd answered without text");
    co_return value->get<std::string>();
}

// "active" and so on; "masked" or "masked-runtime": it cannot be started; "skipped": systemd did not start
// it, as a condition of the unit did not hold; "failing": it ends as often as systemd starts it.
awaitable<Result<std::string>> state_of(dbus::Bus& bus, std::string object) {
    constexpr auto interface = systemd::unit_interface;
    const auto state = co_await text_property(bus, object, interface, "ActiveState");
    if (state && *state == "activating") {
        // The first pause comes before the first of the restarts that are counted.
        const auto sub_state = co_await text_property(bus, object, interface, "SubState");
        const auto restarts = co_await property(bus, object, systemd::service_interface, "NRestarts");
        const bool pauses = sub_state && *sub_state == "auto-restart";
        if (pauses || (restarts && restarts->is_number() && *restarts != 0)) co_return std::string("failing");
    }
    if (!state || *state != "inactive") co_return state;
    const auto file = co_await text_property(bus, object, interface, "UnitFileState");
    if (file && file->starts_with("masked")) co_return file;
    const auto asked = co_await property(bus, object, interface, "ConditionTimestamp");
    const auto held = co_await property(bus, object, interface, "ConditionResult");
    const bool skipped = asked && held && asked->is_number() && *asked != 0 && *held == false;
    co_return skipped ? "skipped" : *state;
}

// GetUnit does not load a unit that nobody uses; LoadUnit does, and here a stopped one is of interest.
awaitable<Result<std::string>> active_state(dbus::Bus& bus, std::string unit) {
    auto load = bus.new_call(systemd::service, systemd::path, systemd::manager_interface, "LoadUnit");
    if (!load) co_return std::unexpected(load.error());
    sd_bus_message_append(load->get(), "s", unit.c_str());
    auto loaded = co_await bus.call(std::move(*load));
    if (!loaded) co_return std::unexpected(loaded.error());
    const char* path = nullptr;
    sd_bus_message_read(loaded->get(), "o", &path);
    if (!path) co_return fail(ErrorCode::Failed, "systemd answered without a path");
    const std::string object = path;
    co_return co_await state_of(bus, object);
}

// Whether p2prcd has had programs pinned that systemd attaches; nothing: this user may not look there.
std::optional<bool> has_bind_programs() {
    const auto path = fmt::format("{}/{}", bind_programs_directory, bind_program_name(BindFamily::Inet4, {}));
    if (access(path.c_str(), F_OK) == 0) return true;
    return errno == EACCES ? std::nullopt : std::optional(false);
}

// Debian 12's systemd cannot by itself; what is open where nothing can is in process-file.md.
awaitable<void> check_sandbox(dbus::Bus& bus, const Facts& facts, Findings& findings) {
    constexpr const char* way_out = "where nodes are not trusted: [remote] spin = \"no\" in p2prcd.toml";
    if (facts.contains("unconfined")) {
        findings.push_back({CheckState::Warn, "sandbox",
                            fmt::format("processes are not kept to their ports: {}; p2prcd tries again",
                                        cell(facts, "unconfined")),
                            fmt::format("{}; {}", cell(facts, "unconfined_hint"), way_out)});
        co_return;
    }
    const auto features = co_await text_property(bus, systemd::path, systemd::manager_interface, "Features");
    if (!features) co_return;
    const auto programs = has_bind_programs();
    if (!programs) co_return;
    if (net::confines_ports(*features) || *programs)
        findings.push_back({CheckState::Ok, "sandbox", "processes are kept to their ports", ""});
    else
        findings.push_back({CheckState::Warn, "sandbox",
                            "processes are not kept to their ports: this machine attaches no BPF programs",
                            way_out});
}

struct JournalCloser {
    void operator()(sd_journal* journal) const { sd_journal_close(journal); }
};

// The last error that a unit has logged in this boot; empty: none, or this user may not read the journal.
std::string last_error(const char* unit) {
    sd_journal* opened = nullptr;
    if (sd_journal_open(&opened, SD_JOURNAL_LOCAL_ONLY) < 0) return {};
    const std::unique_ptr<sd_journal, JournalCloser> journal(opened);
    sd_id128_t boot{};
    if (sd_id128_get_boot(&boot) < 0) return {};
    std::array<char, SD_ID128_STRING_MAX> boot_text{};
    sd_id128_to_string(boot, boot_text.data());
    const auto match = [&](const std::string& text) {
        sd_journal_add_match(journal.get(), text.data(), text.size());
    };
    match(fmt::format("_SYSTEMD_UNIT={}", unit));
    match(fmt::format("_BOOT_ID={}", boot_text.data()));
    for (int priority = 0; priority <= 3; ++priority) // alternatives, as they are of one field
        match(fmt::format("PRIORITY={}", priority));
    const void* data = nullptr;
    std::size_t size = 0;
    if (sd_journal_seek_tail(journal.get()) < 0 || sd_journal_previous(journal.get()) <= 0 ||
        sd_journal_get_data(journal.get(), "MESSAGE", &data, &size) < 0)
        return {};
    const std::string_view field(static_cast<const char*>(data), size);
    return text::excerpt(field.substr(field.find('=') + 1), 500);
}

std::string unmask_command(const std::string& unit, const std::string& state) {
    if (!state.starts_with("masked")) return {};
    return fmt::format("systemctl unmask {}{}; ", state == "masked-runtime" ? "--runtime " : "", unit);
}

Finding judge(const std::string& unit, const Result<std::string>& state, bool needed, bool root) {
    Finding finding{CheckState::Ok, unit, state ? *state : state.error().message, ""};
    const bool runs = state && (*state == "active" || *state == "activating" || *state == "reloading");
    if (runs) return finding;
    if (!needed) {
        finding.detail = "not needed on this node";
        return finding;
    }
    finding.state = CheckState::Fail;
    if (const auto error = unit == daemon_unit ? last_error(daemon_unit) : ""; !error.empty())
        finding.detail += ": " + error;
    if (state && *state == "skipped") {
        finding.detail = role_is_off(unit == edge ? MachineRole::Edge : MachineRole::Connector);
        finding.fix = how_to_turn_roles_on(root);
        return finding;
    }
    // A service that runs is given its socket at its own start.
    finding.fix = fmt::format("{2}systemctl {1}; journalctl -u {0}", unit,
                              unit == control_socket ? "restart p2prcd" : "start " + unit,
                              unmask_command(unit, state ? *state : ""));
    return finding;
}

awaitable<void> look(boost::asio::any_io_executor executor, const Facts& facts, Findings& findings) {
    auto bus = dbus::Bus::open_system(executor);
    if (!bus) {
        findings.push_back({CheckState::Fail, "units", bus.error().message, "systemctl status dbus"});
        co_return;
    }
    // Without its socket p2prcd runs and no member reaches it.
    const std::array<std::pair<std::string, bool>, 4> units{{{daemon_unit, true},
                                                             {control_socket, is_public_root(facts)},
                                                             {edge, is_public_root(facts)},
                                                             {"p2prc-connector.service", in_fleet(facts)}}};
    for (const auto& [unit, needed] : units) {
        const auto state = co_await active_state(**bus, unit);
        findings.push_back(judge(unit, state, needed, is_public_root(facts)));
    }
    co_await check_sandbox(**bus, facts, findings);
}

} // namespace

Findings check_units(const Facts& facts) {
    boost::asio::io_context loop;
    Findings findings;
    boost::asio::co_spawn(loop, look(loop.get_executor(), facts, findings),
                          net::ReportFailure("looking at the units"));
    loop.run();
    return findings;
}

} // namespace p2prc::cli

#include "core/spec_bindings.h"

#include <fmt/format.h>

#include <array>

namespace p2prc {
namespace {

constexpr std::array probe_names{std::pair{Probe::Kind::Port, std::string_view("port")},
                                 std::pair{Probe::Kind::Http, std::string_view("http")},
                                 std::pair{Probe::Kind::Notify, std::string_view("notify")},
                                 std::pair{Probe::Kind::Command, std::string_view("command")}};

// Far longer than a start or a pause should be, and short enough for a typing error to show.
constexpr std::uint64_t longest_probe_time = 3600;

Refusal set_probe(std::optional<Probe>& into, std::string_view table, Probe probe) {
    if (into)
        return {fmt::format("{}.{} is there already", table, probe_name(into->kind)),
                "a process is asked in one way: keep one of the two"};
    into = std::move(probe);
    return "";
}

// `port` and `notify`, of which false says nothing.
Refusal set_switch(std::optional<Probe>& into, std::string_view table, Probe::Kind kind, const Json& value) {
    return value.get<bool>() ? set_probe(into, table, {.kind = kind}) : Refusal("");
}

Refusal set_http(std::optional<Probe>& into, std::string_view table, const Json& value) {
    auto path = value.get<std::string>();
    if (auto why = check_http_path(path); !why.empty()) return why;
    return set_probe(into, table, {.kind = Probe::Kind::Http, .path = std::move(path)});
}

Refusal set_probe_command(std::optional<Probe>& into, std::string_view table, const Json& value) {
    Probe probe{.kind = Probe::Kind::Command, .shell = value.is_string()};
    probe.command =
        value.is_string() ? std::vector{value.get<std::string>()} : value.get<std::vector<std::string>>();
    if (auto why = check_command(probe.command, probe.shell); !why.empty()) return why;
    return set_probe(into, table, std::move(probe));
}

Refusal set_time(std::chrono::seconds& into, const Json& value) {
    const auto seconds = parse_duration(value.get<std::string>());
    if (!seconds) return {"is not a length of time", "write \"30s\" or \"2m\""};
    if (*seconds > longest_probe_time)
        return fmt::format("is longer than {}", duration_text(longest_probe_time));
    into = std::chrono::seconds(*seconds);
    return "";
}

Json get_switch(const std::optional<Probe>& probe, Probe::Kind kind) {
    return is_by(probe, kind) ? Json(true) : Json(nullptr);
}
Json get_http(const std::optional<Probe>& probe) {
    return is_by(probe, Probe::Kind::Http) ? Json(probe->path) : Json(nullptr);
}
Json get_probe_command(const std::optional<Probe>& probe) {
    if (!is_by(probe, Probe::Kind::Command)) return nullptr;
    return probe->shell ? Json(probe->command.front()) : Json(probe->command);
}

// systemd's job to start a unit has four minutes in any case (process/transient_unit.h), and a unit that is
// not ready in time needs one of them to end.
constexpr std::chrono::seconds longest_notify{180};
constexpr std::chrono::seconds soonest_live_command{10};

Result<void> check_probe(const ProcessSpec& spec, const Locate& locate, std::string_view table,
                         const std::optional<Probe>& probe) {
    const bool by_port = is_by(probe, Probe::Kind::Port) || is_by(probe, Probe::Kind::Http);
    if (!by_port || spec.port) return {};
    return std::unexpected(bad_key(locate, fmt::format("{}.{}", table, probe_name(probe->kind)),
                                   "a process without a port cannot be asked by it",
                                   "add port = N, the port it listens on, or port = 0"));
}

constexpr std::array probe_keys{
    Binding{"ready.http", [](ProcessSpec& s, const Json& v) { return set_http(s.ready.probe, "ready", v); },
            [](const ProcessSpec& s) { return get_http(s.ready.probe); }},
    Binding{"ready.port",
            [](ProcessSpec& s, const Json& v) {
                return set_switch(s.ready.probe, "ready", Probe::Kind::Port, v);
            },
            [](const ProcessSpec& s) { return get_switch(s.ready.probe, Probe::Kind::Port); }},
    Binding{"ready.notify",
            [](ProcessSpec& s, const Json& v) {
                return set_switch(s.ready.probe, "ready", Probe::Kind::Notify, v);
            },
            [](const ProcessSpec& s) { return get_switch(s.ready.probe, Probe::Kind::Notify); }},
    Binding{"ready.command",
            [](ProcessSpec& s, const Json& v) { return set_probe_command(s.ready.probe, "ready", v); },
            [](const ProcessSpec& s) { return get_probe_command(s.ready.probe); }},
    Binding{
        "ready.timeout", [](ProcessSpec& s, const Json& v) { return set_time(s.ready.timeout.emplace(), v); },
        [](const ProcessSpec& s) { return s.ready.timeout ? get_time(*s.ready.timeout) : Json(nullptr); }},
    Binding{"live.http", [](ProcessSpec& s, const Json& v) { return set_http(s.live.probe, "live", v); },
            [](const ProcessSpec& s) { return get_http(s.live.probe); }},
    Binding{
        "live.port",
        [](ProcessSpec& s, const Json& v) { return set_switch(s.live.probe, "live", Probe::Kind::Port, v); },
        [](const ProcessSpec& s) { return get_switch(s.live.probe, Probe::Kind::Port); }},
    Binding{"live.command",
            [](ProcessSpec& s, const Json& v) { return set_probe_command(s.live.probe, "live", v); },
            [](const ProcessSpec& s) { return get_probe_command(s.live.probe); }},
    Binding{"live.every", [](ProcessSpec& s, const Json& v) { return set_time(s.live.every, v); },
            [](const ProcessSpec& s) {
                return s.live.every == LiveSpec().every ? Json(nullptr) : get_time(s.live.every);
            }},
    Binding{"live.failures",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                const auto failures = v.get<std::int64_t>();
                if (failures < 1 || failures > 100) return std::string("must be between 1 and 100");
                s.live.failures = static_cast<std::uint32_t>(failures);
                return "";
            },
            [](const ProcessSpec& s) {
                return s.live.failures == LiveSpec().failures ? Json(nullptr) : Json(s.live.failures);
            }},
};

} // namespace

std::span<const Binding> probe_bindings() noexcept {
    return probe_keys;
}

Result<void> check_probes(const ProcessSpec& spec, const Locate& locate) {
    const auto& ready = spec.ready;
    const auto& live = spec.live;
    if (auto checked = check_probe(spec, locate, "ready", ready.probe); !checked) return checked;
    if (auto checked = check_probe(spec, locate, "live", live.probe); !checked) return checked;
    if (is_by(ready.probe, Probe::Kind::Notify) && ready_limit(ready) > longest_notify)
        return std::unexpected(
            bad_key(locate, "ready.timeout",
                    fmt::format("is longer than {}, the most with ready.notify",
                                duration_text(static_cast<std::uint64_t>(longest_notify.count()))),
                    "a program that needs longer can be asked by port, http or command"));
    for (const auto& [key, changed] : {std::pair("live.every", live.every != LiveSpec().every),
                                       std::pair("live.failures", live.failures != LiveSpec().failures)})
        if (changed && !live.probe)
            return std::unexpected(bad_key(locate, key, "nothing says how the process is asked",
                                           "add one of live.http, live.port and live.command"));
    if (is_by(live.probe, Probe::Kind::Command) && live.every < soonest_live_command)
        return std::unexpected(bad_key(locate, "live.every", "is less than 10s, the least for a command",
                                       "each time it runs a unit of systemd"));
    return {};
}

std::string_view probe_name(Probe::Kind kind) noexcept {
    for (const auto& [known, name] : probe_names)
        if (known == kind) return name;
    return "port";
}

bool is_by(const std::optional<Probe>& probe, Probe::Kind kind) noexcept {
    return probe && probe->kind == kind;
}

std::optional<std::chrono::seconds> ready_limit(const ReadySpec& ready) noexcept {
    if (ready.timeout || !ready.probe) return ready.timeout;
    return default_ready_timeout;
}

} // namespace p2prc

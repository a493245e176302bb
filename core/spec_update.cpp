#include "core/spec_bindings.h"
#include "core/text.h"

#include <fmt/format.h>

#include <array>

namespace p2prc {
namespace {

Refusal set_hold(ProcessSpec& spec, const Json& value) {
    const auto text = value.get<std::string>();
    const auto hold = text == "0s" ? std::optional<std::uint64_t>(0) : parse_duration(text);
    if (!hold || std::chrono::seconds(*hold) > UpdateSpec::longest_hold)
        return "must be from \"0s\" to \"60s\"";
    spec.update.hold = std::chrono::seconds(*hold);
    return "";
}

constexpr std::string_view start_first = "start-first";

Refusal set_order(ProcessSpec& spec, const Json& value) {
    const auto text = value.get<std::string>();
    if (text != "stop-first" && text != start_first)
        return {fmt::format("'{}' is no order", text::excerpt(text)),
                "write \"stop-first\" or \"start-first\""};
    spec.update.order = text == start_first ? UpdateOrder::StartFirst : UpdateOrder::StopFirst;
    return "";
}

constexpr std::array update_keys{
    Binding{"update.order", set_order,
            [](const ProcessSpec& s) {
                return s.update.order == UpdateOrder::StartFirst ? Json(start_first) : Json(nullptr);
            }},
    Binding{"update.hold", set_hold,
            [](const ProcessSpec& s) {
                return s.update.hold == UpdateSpec::default_hold ? Json(nullptr) : get_time(s.update.hold);
            }},
    Binding{"update.snapshot",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.update.snapshot = v.get<bool>();
                return "";
            },
            [](const ProcessSpec& s) { return s.update.snapshot ? Json(true) : Json(nullptr); }},
};

} // namespace

std::span<const Binding> update_bindings() noexcept {
    return update_keys;
}

// Two revisions run side by side for a while: nothing may be of one of them alone.
Result<void> check_update(const ProcessSpec& spec, const Locate& locate) {
    if (spec.update.snapshot && !spec.run.data)
        return std::unexpected(bad_key(locate, "update.snapshot",
                                       "there is nothing to copy: the process keeps no data",
                                       "leave it out"));
    if (spec.update.order != UpdateOrder::StartFirst) return {};
    const auto refused = [&locate](std::string why, std::string hint) -> Result<void> {
        return std::unexpected(bad_key(locate, "update.order", std::move(why), std::move(hint)));
    };
    if (spec.run.data)
        return refused(
            "start-first is not for a process that keeps data: two revisions would write to it at "
            "once",
            "set run.data = false; or leave update.order out: visitors are held while it restarts");
    if (spec.port && *spec.port != 0)
        return refused(fmt::format("start-first is not for a process with a fixed port: two revisions cannot "
                                   "both have port {}",
                                   *spec.port),
                       "write port = 0, and let it listen at $PORT");
    if (!spec.ports.empty())
        return refused(
            "start-first is not for a process with further `ports`: two revisions cannot both have "
            "them",
            "leave `ports` or update.order out");
    if (is_by(spec.ready.probe, Probe::Kind::Notify))
        return refused("start-first is not for a process that is asked by ready.notify",
                       "ask by ready.http, ready.port or ready.command");
    return {};
}

} // namespace p2prc

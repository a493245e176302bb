#include "core/process_spec.h"

#include "core/document.h"
#include "core/duration.h"
#include "core/encoding.h"
#include "core/fields.h"
#include "core/labels.h"
#include "core/names.h"
#include "core/spec_values.h"
#include "core/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <set>

namespace p2prc {
namespace {

using Json = nlohmann::json;

// Why a value is refused, and what to do; nothing where it is not.
struct Refusal {
    Refusal(std::string words) : why(std::move(words)) {}
    Refusal(const char* words) : why(words) {}
    Refusal(std::string words, std::string what_to_do) : why(std::move(words)), hint(std::move(what_to_do)) {}
    std::string why, hint;
};

// How one key of the table goes into a spec and comes out of it. `set` has a value of the table's type; `get`
// returns null where the value is the default.
struct Binding {
    std::string_view key;
    Refusal (*set)(ProcessSpec&, const Json&);
    Json (*get)(const ProcessSpec&);
};

template <class T>
Json unless_empty(const T& value) {
    return value.empty() ? Json(nullptr) : Json(value);
}

// The key stands in front of the words, and says already what the value is.
Refusal without(std::string_view what, const Error& error) {
    const bool twice = error.message.starts_with(std::string(what) + " '");
    return {twice ? error.message.substr(what.size() + 1) : error.message, error.hint};
}

Refusal set_name(ProcessSpec& spec, const Json& value) {
    spec.name = value.get<std::string>();
    const auto checked = check_process_name(spec.name);
    return checked ? Refusal("") : without("process name", checked.error());
}

Refusal set_domain(ProcessSpec& spec, const Json& value) {
    auto domain = normalize_domain(value.get<std::string>());
    if (!domain) return without("domain", domain.error());
    spec.domain = *domain;
    return "";
}

Refusal set_ports(ProcessSpec& spec, const Json& value) {
    if (value.size() > most_further_ports) return fmt::format("has more than {} ports", most_further_ports);
    std::set<std::uint16_t> ports;
    for (const auto& item : value) {
        const auto port = item.get<std::int64_t>();
        if (port < 1 || port > 65535) return fmt::format("{} is not a port; 1-65535", port);
        if (!ports.insert(static_cast<std::uint16_t>(port)).second)
            return fmt::format("{} is there twice", port);
    }
    spec.ports.assign(ports.begin(), ports.end());
    return "";
}

Refusal set_command(ProcessSpec& spec, const Json& value) {
    spec.run.shell = value.is_string();
    spec.run.command =
        value.is_string() ? std::vector{value.get<std::string>()} : value.get<std::vector<std::string>>();
    return check_command(spec.run.command, spec.run.shell);
}

Json get_command(const ProcessSpec& spec) {
    if (spec.run.command.empty()) return nullptr;
    return spec.run.shell ? Json(spec.run.command.front()) : Json(spec.run.command);
}

Refusal set_tasks(ProcessSpec& spec, const Json& value) {
    const auto tasks = value.get<std::int64_t>();
    if (tasks < 1 || tasks > most_tasks_limit)
        return fmt::format("must be between 1 and {}", most_tasks_limit);
    spec.limits.tasks = static_cast<std::uint32_t>(tasks);
    return "";
}

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
Json get_time(std::chrono::seconds time) {
    return duration_text(static_cast<std::uint64_t>(time.count()));
}

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

Refusal set_size(std::optional<std::uint64_t>& into, const Json& value) {
    into = parse_size(value.is_string() ? value.get<std::string>() : value.dump());
    return into ? "" : "is not a size such as \"512M\" or \"2G\"";
}
// As text: a size of D-Bus and of the canonical form has one type.
Json get_size(const std::optional<std::uint64_t>& size) {
    return size ? Json(std::to_string(*size)) : Json(nullptr);
}

Refusal set_nodes(ProcessSpec& spec, const Json& value) {
    auto nodes = value.get<std::vector<std::string>>();
    if (nodes.size() > most_placement_nodes)
        return fmt::format("has more than {} nodes", most_placement_nodes);
    std::set<std::string> seen;
    for (const auto& node : nodes) {
        if (const auto good = check_node_name(node); !good) return {good.error().message, good.error().hint};
        if (!seen.insert(node).second) return fmt::format("'{}' is there twice", node);
    }
    spec.placement.nodes = std::move(nodes);
    return "";
}

// What Debian, Docker and Go call the architectures that uname(2) calls otherwise.
constexpr std::array other_arch_names{
    std::pair{std::string_view("amd64"), "x86_64"}, std::pair{std::string_view("arm64"), "aarch64"},
    std::pair{std::string_view("armhf"), "armv7l"}, std::pair{std::string_view("i386"), "i686"}};

Refusal set_arch(ProcessSpec& spec, const Json& value) {
    auto arch = value.get<std::string>();
    constexpr std::size_t longest = 64; // of utsname, Linux
    for (const auto& [other, name] : other_arch_names)
        if (arch == other)
            return {fmt::format("'{}' is called otherwise here", arch),
                    fmt::format("write \"{}\", as uname -m prints it", name)};
    const auto belongs = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    };
    if (arch.empty() || arch.size() > longest || !std::ranges::all_of(arch, belongs))
        return {"is not an architecture", "write what uname -m prints there, such as \"x86_64\""};
    spec.placement.require.arch = std::move(arch);
    return "";
}

Refusal set_required_labels(ProcessSpec& spec, const Json& value) {
    const auto list =
        value.is_string() ? std::vector{value.get<std::string>()} : value.get<std::vector<std::string>>();
    if (list.size() > most_required_labels)
        return fmt::format("has more than {} labels", most_required_labels);
    std::set<std::string> labels;
    for (const auto& label : list) {
        if (const auto good = parse_label(label); !good) return {good.error().message, good.error().hint};
        if (!labels.insert(label).second) return fmt::format("'{}' is there twice", label);
    }
    spec.placement.require.labels.assign(labels.begin(), labels.end());
    return "";
}

Json get_remedies(const ProcessSpec& spec) {
    if (spec.remedies.empty()) return nullptr;
    auto list = Json::array();
    for (const auto& remedy : spec.remedies) {
        Json row{{"reason", stop_kind_name(remedy.reason)}, {"action", remedy_action_name(remedy.action)}};
        if (!remedy.step.empty()) row["step"] = remedy.step;
        if (remedy.code) row["code"] = *remedy.code;
        list.push_back(std::move(row));
    }
    return list;
}

// `remedy`, whose errors name a key of one of its tables, is read by the reader itself.
const std::array bindings{
    Binding{"name", set_name, [](const ProcessSpec& s) { return Json(s.name); }},
    Binding{"port",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                const auto port = v.get<std::int64_t>();
                if (port < 0 || port > 65535)
                    return fmt::format("{} is not a port; 1-65535, or 0 for a chosen one", port);
                s.port = static_cast<std::uint16_t>(port);
                return "";
            },
            [](const ProcessSpec& s) { return s.port ? Json(*s.port) : Json(nullptr); }},
    Binding{"ports", set_ports, [](const ProcessSpec& s) { return unless_empty(s.ports); }},
    Binding{"domain", set_domain, [](const ProcessSpec& s) { return unless_empty(s.domain); }},
    Binding{"deploy.strategy",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.deploy.strategy = v.get<std::string>();
                return s.deploy.strategy.empty() ? std::string{} : check_deployer(s.deploy.strategy);
            },
            [](const ProcessSpec& s) { return unless_empty(s.deploy.strategy); }},
    Binding{"deploy.script",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.deploy.script = v.get<std::string>();
                return check_script(s.deploy.script);
            },
            [](const ProcessSpec& s) { return unless_empty(s.deploy.script); }},
    Binding{"run.command", set_command, get_command},
    Binding{"run.kill",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.run.kill = v.get<std::vector<std::string>>();
                return s.run.kill.empty() ? std::string{} : check_command(s.run.kill, false);
            },
            [](const ProcessSpec& s) { return unless_empty(s.run.kill); }},
    Binding{"run.user",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.run.user = v.get<std::string>();
                return check_user(s.run.user);
            },
            [](const ProcessSpec& s) { return unless_empty(s.run.user); }},
    Binding{"run.root",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.run.root = v.get<std::string>();
                return check_root(s.run.root);
            },
            [](const ProcessSpec& s) { return unless_empty(s.run.root); }},
    Binding{"run.environment",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.run.environment = v.get<std::map<std::string, std::string>>();
                return check_environment(s.run.environment);
            },
            [](const ProcessSpec& s) { return unless_empty(s.run.environment); }},
    Binding{"run.credentials",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.run.credentials = v.get<std::map<std::string, std::string>>();
                return check_credentials(s.run.credentials);
            },
            [](const ProcessSpec& s) { return unless_empty(s.run.credentials); }},
    Binding{"run.restart",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                const auto restart = restart_from_name(v.get<std::string>());
                if (!restart) return std::string("must be always, on-failure or no");
                s.run.restart = *restart;
                return "";
            },
            [](const ProcessSpec& s) {
                return s.run.restart == Restart::OnFailure ? Json(nullptr)
                                                           : Json(restart_name(s.run.restart));
            }},
    Binding{"run.data",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.run.data = v.get<bool>();
                return "";
            },
            [](const ProcessSpec& s) { return s.run.data ? Json(nullptr) : Json(false); }},
    Binding{"limits.memory", [](ProcessSpec& s, const Json& v) { return set_size(s.limits.memory_bytes, v); },
            [](const ProcessSpec& s) { return get_size(s.limits.memory_bytes); }},
    Binding{"limits.cpu",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.limits.cpu_percent = parse_percent(v.get<std::string>());
                return s.limits.cpu_percent ? std::string{}
                                            : std::string("is not a percentage such as \"150%\"");
            },
            [](const ProcessSpec& s) {
                return s.limits.cpu_percent ? Json(fmt::format("{}%", *s.limits.cpu_percent)) : Json(nullptr);
            }},
    Binding{"limits.tasks", set_tasks,
            [](const ProcessSpec& s) { return s.limits.tasks ? Json(*s.limits.tasks) : Json(nullptr); }},
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
    Binding{"placement.nodes", set_nodes,
            [](const ProcessSpec& s) { return unless_empty(s.placement.nodes); }},
    Binding{"placement.require.arch", set_arch,
            [](const ProcessSpec& s) { return unless_empty(s.placement.require.arch); }},
    Binding{"placement.require.memory",
            [](ProcessSpec& s, const Json& v) { return set_size(s.placement.require.memory_bytes, v); },
            [](const ProcessSpec& s) { return get_size(s.placement.require.memory_bytes); }},
    Binding{"placement.require.disk",
            [](ProcessSpec& s, const Json& v) { return set_size(s.placement.require.disk_bytes, v); },
            [](const ProcessSpec& s) { return get_size(s.placement.require.disk_bytes); }},
    Binding{"placement.require.gpu",
            [](ProcessSpec& s, const Json& v) -> Refusal {
                s.placement.require.gpu = v.get<bool>();
                return "";
            },
            [](const ProcessSpec& s) { return s.placement.require.gpu ? Json(true) : Json(nullptr); }},
    Binding{"placement.require.label", set_required_labels,
            [](const ProcessSpec& s) { return unless_empty(s.placement.require.labels); }},
    Binding{"remedy", nullptr, get_remedies},
};

const Binding* find_binding(std::string_view key) {
    const auto* it = std::ranges::find(bindings, key, &Binding::key);
    return it == bindings.end() ? nullptr : &*it;
}

// Whether a value of a key that is not built says what happens anyway.
bool is_default(const Json& value) {
    if (const auto* text = value.get_ptr<const std::string*>())
        return text->empty() || *text == "wait" || *text == "stop-first";
    return value.is_null() || value == false || (value.is_structured() && value.empty());
}

enum class Keys { All, Built };

std::vector<std::string_view> keys_of_table(std::string_view table, Keys which = Keys::All) {
    std::vector<std::string_view> keys;
    for (const auto& field : spec_fields()) {
        if (which == Keys::Built && !field.built) continue;
        auto key = field.key;
        if (!table.empty()) {
            if (!key.starts_with(table) || !key.substr(table.size()).starts_with('.')) continue;
            key.remove_prefix(table.size() + 1);
        }
        key = key.substr(0, key.find('.'));
        if (!key.empty() && std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
    }
    return keys;
}

// Of a key that is known in another place: what is meant.
std::string hint_for_place(std::string_view path, std::string_view key) {
    for (const auto& field : spec_fields()) {
        const auto dot = field.key.rfind('.');
        const auto table = dot == std::string_view::npos ? std::string_view() : field.key.substr(0, dot);
        if (!field.built || table == path || field.key.substr(table.empty() ? 0 : dot + 1) != key) continue;
        if (path.empty()) return fmt::format("did you mean '{}'?", field.key);
        if (table.empty())
            return fmt::format("'{}' belongs to the top of the file, above the first [table]", key);
        return fmt::format("'{}' belongs to [{}]", key, table);
    }
    return {};
}

bool is_built(std::string_view table) {
    return std::ranges::any_of(spec_fields(), [&](const Field& field) {
        return field.built && field.key.substr(0, field.key.find('.')) == table;
    });
}

// Of a table that is not built: what is in it would be refused with every other value.
bool has_defaults_alone(std::string_view table, const Json& value) {
    if (!value.is_object() || value.empty()) return false;
    for (const auto& [key, member] : value.items())
        if (!find_field(spec_fields(), fmt::format("{}.{}", table, key)) || !is_default(member)) return false;
    return true;
}

bool is_time(const Field& field) {
    return field.key == "ready.timeout" || field.key == "live.every" || field.key == "update.hold";
}

// systemd's job to start a unit has four minutes in any case (process/transient_unit.h), and a unit that is
// not ready in time needs one of them to end.
constexpr std::chrono::seconds longest_notify{180};
constexpr std::chrono::seconds soonest_live_command{10};

// How to write a value that has another type.
std::string type_hint(const Field& field, const Json& value) {
    if (field.key == "limits.cpu" && value.is_number_integer())
        return fmt::format("write \"{}%\"", value.dump());
    if (is_time(field)) return fmt::format("write \"{}s\"", value.is_number_integer() ? value.dump() : "30");
    if (field.type == FieldType::TableList && value.is_object())
        return fmt::format("write [[{}]] above each", field.key);
    if (field.type == FieldType::Integer && value.is_string()) return "write it without quotes";
    if (field.type == FieldType::String && value.is_primitive()) return "write it in double quotes";
    if (field.type == FieldType::StringList && value.is_string())
        return "write a list, a word each: [\"/usr/bin/program\", \"argument\"]";
    if (field.type == FieldType::IntegerList && value.is_number_integer())
        return fmt::format("write [{}]", value.dump());
    if (field.type == FieldType::Boolean) return "write true or false, without quotes";
    return {};
}

// Why a key of a remedy is refused; an empty `why`: it is not.
struct RemedyRefusal {
    std::string_view key = {};
    std::string why = {}, hint = {};
};

std::string hint_of_words(std::string_view word, std::span<const std::string_view> known) {
    const auto near = nearest(word, known);
    return near.empty() ? fmt::format("one of {}", fmt::join(known, ", "))
                        : fmt::format("did you mean '{}'?", near);
}

// Of a table whose members have the right types.
RemedyRefusal set_remedy(Remedy& remedy, const Json& row) {
    for (const auto* key : {"reason", "action"})
        if (!row.contains(key))
            return {key, "is missing", "a remedy says what it is about and what is done about it"};
    const auto reason = row["reason"].get<std::string>();
    const auto kinds = stop_kind_table();
    const auto kind = std::ranges::find(kinds, reason, &StopKindInfo::name);
    if (kind == kinds.end())
        return {"reason", fmt::format("'{}' is no reason of a stop", text::excerpt(reason)),
                hint_of_words(reason, remedied_kind_names())};
    if (!can_be_remedied(kind->kind))
        return {"reason", fmt::format("nothing is done about '{}': a remedy is for what has failed", reason),
                fmt::format("one of {}", fmt::join(remedied_kind_names(), ", "))};
    remedy.reason = kind->kind;
    const auto word = row["action"].get<std::string>();
    const auto action = remedy_action_from_name(word);
    if (!action)
        return {"action", fmt::format("'{}' is no action", text::excerpt(word)),
                hint_of_words(word, remedy_action_names())};
    remedy.action = *action;
    if (const auto step = row.find("step"); step != row.end()) {
        remedy.step = step->get<std::string>();
        if (remedy.step.empty() || remedy.step.size() > longest_remedy_step ||
            text::has_controls(remedy.step))
            return {"step", "is not the step of a reason", "p2prc info shows it behind 'at'"};
    }
    if (const auto code = row.find("code"); code != row.end()) {
        const auto number = code->get<std::int64_t>();
        if (number < 0 || number > 255) return {"code", "must be between 0 and 255"};
        remedy.code = static_cast<int>(number);
    }
    return {};
}

class Reader {
  public:
    Reader(const Locate& locate, bool strict) : locate_(locate), strict_(strict) {}

    Result<ProcessSpec> read(const Json& document) {
        if (!document.is_object())
            return fail(ErrorCode::InvalidSpec, "the specification is not a table of keys");
        if (auto done = read_table(document, ""); !done) return std::unexpected(done.error());
        if (spec_.name.empty()) return missing("name", "name = \"calendar\"");
        if (strict_ && spec_.deploy.strategy.empty() && !spec_.deploy.script.empty())
            return std::unexpected(bad_key(locate_, "deploy.script", "nothing says which deployer takes it",
                                           "add strategy = \"script\""));
        if (spec_.run.command.empty() && spec_.deploy.strategy.empty())
            return missing("run.command", "run.command = [\"/usr/bin/program\", \"argument\"]");
        if (strict_ && !spec_.run.root.empty() && !spec_.run.kill.empty())
            return std::unexpected(bad_key(locate_, "run.kill", "is not for a process with run.root",
                                           "it would run outside of that; without it, SIGTERM is sent"));
        if (strict_ && spec_.port && spec_.run.environment.contains("PORT"))
            return std::unexpected(bad_key(locate_, "run.environment",
                                           "PORT is set by p2prc for a process with a port",
                                           "leave PORT out"));
        if (strict_ && spec_.port && std::ranges::count(spec_.ports, *spec_.port) > 0)
            return std::unexpected(bad_key(locate_, "ports", fmt::format("{} is its `port`", *spec_.port),
                                           "leave it out here: `ports` are further ones"));
        if (strict_ && spec_.limits.memory_bytes && *spec_.limits.memory_bytes < least_memory_limit)
            return std::unexpected(
                bad_key(locate_, "limits.memory",
                        fmt::format("{} bytes are too little for any process", *spec_.limits.memory_bytes),
                        "the least is \"1M\"; for 64 mebibytes write \"64M\""));
        if (strict_ && !spec_.domain.empty() && !spec_.port)
            return std::unexpected(bad_key(locate_, "domain", "a process without a port cannot have a domain",
                                           "add port = N, the port it listens on, or port = 0"));
        if (auto checked = strict_ ? check_probes() : Result<void>(); !checked)
            return std::unexpected(checked.error());
        if (auto checked = strict_ ? check_order() : Result<void>(); !checked)
            return std::unexpected(checked.error());
        if (auto checked = strict_ ? check_remedies() : Result<void>(); !checked)
            return std::unexpected(checked.error());
        // It is the same to say the default and not to.
        if (spec_.ready.probe && spec_.ready.timeout == default_ready_timeout) spec_.ready.timeout.reset();
        return spec_;
    }

  private:
    std::unexpected<Error> missing(std::string_view key, std::string_view example) const {
        auto place = locate_ ? locate_("name") : std::string{};
        if (const auto colon = place.rfind(':'); colon != std::string::npos) place.resize(colon);
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("{}{}{}: is missing", place, place.empty() ? "" : ": ", key),
                    fmt::format("add {}", example));
    }

    Result<void> check_probe(std::string_view table, const std::optional<Probe>& probe) const {
        const bool by_port = is_by(probe, Probe::Kind::Port) || is_by(probe, Probe::Kind::Http);
        if (!by_port || spec_.port) return {};
        return std::unexpected(bad_key(locate_, fmt::format("{}.{}", table, probe_name(probe->kind)),
                                       "a process without a port cannot be asked by it",
                                       "add port = N, the port it listens on, or port = 0"));
    }

    Result<void> check_probes() const {
        const auto& ready = spec_.ready;
        const auto& live = spec_.live;
        if (auto checked = check_probe("ready", ready.probe); !checked) return checked;
        if (auto checked = check_probe("live", live.probe); !checked) return checked;
        if (is_by(ready.probe, Probe::Kind::Notify) && ready_limit(ready) > longest_notify)
            return std::unexpected(
                bad_key(locate_, "ready.timeout",
                        fmt::format("is longer than {}, the most with ready.notify",
                                    duration_text(static_cast<std::uint64_t>(longest_notify.count()))),
                        "a program that needs longer can be asked by port, http or command"));
        for (const auto& [key, changed] : {std::pair("live.every", live.every != LiveSpec().every),
                                           std::pair("live.failures", live.failures != LiveSpec().failures)})
            if (changed && !live.probe)
                return std::unexpected(bad_key(locate_, key, "nothing says how the process is asked",
                                               "add one of live.http, live.port and live.command"));
        if (is_by(live.probe, Probe::Kind::Command) && live.every < soonest_live_command)
            return std::unexpected(bad_key(locate_, "live.every", "is less than 10s, the least for a command",
                                           "each time it runs a unit of systemd"));
        return {};
    }

    // Two revisions run side by side for a while: nothing may be of one of them alone.
    Result<void> check_order() const {
        if (spec_.update.snapshot && !spec_.run.data)
            return std::unexpected(bad_key(locate_, "update.snapshot",
                                           "there is nothing to copy: the process keeps no data",
                                           "leave it out"));
        if (spec_.update.order != UpdateOrder::StartFirst) return {};
        const auto refused = [this](std::string why, std::string hint) -> Result<void> {
            return std::unexpected(bad_key(locate_, "update.order", std::move(why), std::move(hint)));
        };
        if (spec_.run.data)
            return refused(
                "start-first is not for a process that keeps data: two revisions would write to it at "
                "once",
                "set run.data = false; or leave update.order out: visitors are held while it restarts");
        if (spec_.port && *spec_.port != 0)
            return refused(
                fmt::format("start-first is not for a process with a fixed port: two revisions cannot "
                            "both have port {}",
                            *spec_.port),
                "write port = 0, and let it listen at $PORT");
        if (!spec_.ports.empty())
            return refused(
                "start-first is not for a process with further `ports`: two revisions cannot both have "
                "them",
                "leave `ports` or update.order out");
        if (is_by(spec_.ready.probe, Probe::Kind::Notify))
            return refused("start-first is not for a process that is asked by ready.notify",
                           "ask by ready.http, ready.port or ready.command");
        return {};
    }

    Result<void> check_remedies() const {
        for (std::size_t index = 0; index < spec_.remedies.size(); ++index)
            if (spec_.remedies[index].action == RemedyAction::Redeploy && spec_.deploy.strategy.empty())
                return std::unexpected(bad_key(locate_, fmt::format("remedy[{}].action", index),
                                               "nothing is deployed for this process",
                                               "add [deploy], or choose another action"));
        return {};
    }

    Result<void> read_table(const Json& table, std::string_view path) {
        if (strict_) {
            const auto known = keys_of_table(path);
            const auto offered = keys_of_table(path, Keys::Built);
            if (auto checked = check_known_keys(table, path, known, locate_, offered); !checked)
                return std::unexpected(in_its_place(table, path, known, std::move(checked.error())));
        }
        for (const auto& [key, value] : table.items()) {
            const auto full = path.empty() ? key : fmt::format("{}.{}", path, key);
            const auto* field = find_field(spec_fields(), full);
            if (!field && !keys_of_table(full).empty()) {
                if (strict_ && path.empty() && !is_built(key) && !has_defaults_alone(key, value))
                    return not_built(key);
                if (auto checked = check_type(value, FieldType::Table, full, locate_); !checked)
                    return checked;
                if (auto done = read_table(value, full); !done) return done;
            } else if (field) {
                if (auto done = read_field(*field, value); !done) return done;
            }
        }
        return {};
    }

    // The first unknown key may be one that stands in another table.
    static Error in_its_place(const Json& table, std::string_view path,
                              std::span<const std::string_view> known, Error error) {
        for (const auto& [key, value] : table.items()) {
            if (std::ranges::find(known, key) != known.end()) continue;
            if (auto hint = hint_for_place(path, key); !hint.empty()) error.hint = std::move(hint);
            break;
        }
        return error;
    }

    Result<void> read_field(const Field& field, const Json& value) {
        if (!field.built && strict_ && !is_default(value)) return not_built(field.key);
        if (auto checked = check_type(value, field.type, field.key, locate_); !checked) {
            checked.error().hint = type_hint(field, value);
            return checked;
        }
        if (!field.built) return {}; // with its default
        if (field.type == FieldType::TableList) return read_remedies(field.key, value);
        if (auto refusal = find_binding(field.key)->set(spec_, value); !refusal.why.empty())
            return std::unexpected(bad_key(locate_, field.key, refusal.why, std::move(refusal.hint)));
        return {};
    }

    Result<void> read_remedies(std::string_view key, const Json& list) {
        if (strict_ && list.size() > most_remedies)
            return std::unexpected(
                bad_key(locate_, key, fmt::format("has more than {} remedies", most_remedies)));
        for (std::size_t index = 0; index < list.size() && index < most_remedies; ++index) {
            auto remedy = read_remedy(list[index], fmt::format("{}[{}]", key, index));
            if (remedy)
                spec_.remedies.push_back(std::move(*remedy));
            else if (strict_)
                return std::unexpected(remedy.error());
            // Of what is stored, one that a later version has made is none here.
        }
        return {};
    }

    Result<Remedy> read_remedy(const Json& row, const std::string& path) const {
        std::vector<std::string_view> known;
        for (const auto& field : remedy_fields())
            known.push_back(field.key);
        if (strict_)
            if (auto checked = check_known_keys(row, path, known, locate_); !checked)
                return std::unexpected(checked.error());
        for (const auto& field : remedy_fields()) {
            const auto value = row.find(std::string(field.key));
            if (value == row.end()) continue;
            const auto full = fmt::format("{}.{}", path, field.key);
            if (auto checked = check_type(*value, field.type, full, locate_); !checked) {
                checked.error().hint = type_hint(field, *value);
                return std::unexpected(checked.error());
            }
        }
        Remedy remedy;
        if (auto refusal = set_remedy(remedy, row); !refusal.why.empty())
            return std::unexpected(bad_key(locate_, fmt::format("{}.{}", path, refusal.key), refusal.why,
                                           std::move(refusal.hint)));
        return remedy;
    }

    Result<void> not_built(std::string_view key) const {
        return std::unexpected(
            bad_key(locate_, key, "not in this version", "leave it out", ErrorCode::NotSupported));
    }

    const Locate& locate_;
    bool strict_;
    ProcessSpec spec_;
};

} // namespace

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

bool is_placed(const ProcessSpec& spec) noexcept {
    return spec.placement != PlacementSpec();
}

Result<ProcessSpec> spec_from_document(const Json& document, const Locate& locate) {
    return Reader(locate, true).read(document);
}

Result<ProcessSpec> spec_from_toml(std::string_view text, std::string_view file) {
    auto parsed = parse_toml(text, file);
    if (!parsed) return std::unexpected(parsed.error());
    auto spec = spec_from_document(parsed->document, parsed->locate());
    // A key that is missing has no line; the file is named all the same.
    if (!spec && spec.error().message.find(file) == std::string::npos)
        return fail(spec.error().code, fmt::format("{}: {}", file, spec.error().message), spec.error().hint);
    return spec;
}

Result<ProcessSpec> spec_from_stored(const Json& document) {
    return Reader({}, false).read(document);
}

Json spec_to_document(const ProcessSpec& spec) {
    Json document = Json::object();
    for (const auto& binding : bindings) {
        auto value = binding.get(spec);
        if (value.is_null()) continue;
        auto* table = &document;
        auto key = binding.key;
        for (auto dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.')) {
            table = &(*table)[std::string(key.substr(0, dot))];
            key.remove_prefix(dot + 1);
        }
        (*table)[std::string(key)] = std::move(value);
    }
    return document;
}

std::string spec_digest(const ProcessSpec& spec) {
    // nlohmann's objects are ordered by key, so that the text is canonical. `replace` keeps text that is not
    // UTF-8 from throwing; the strict reader has refused it before.
    const auto text = spec_to_document(spec).dump(-1, ' ', false, Json::error_handler_t::replace);
    return to_hex(sha256(as_bytes(text)));
}

} // namespace p2prc

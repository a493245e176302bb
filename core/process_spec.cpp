#include "core/process_spec.h"

#include "core/counted.h"
#include "core/deployer_fit.h"
#include "core/document.h"
#include "core/encoding.h"
#include "core/fields.h"
#include "core/names.h"
#include "core/spec_bindings.h"
#include "core/spec_hints.h"
#include "core/spec_values.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <set>

namespace p2prc {
namespace {

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

constexpr std::array process_keys{
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
};

std::array<std::span<const Binding>, 5> all_bindings() noexcept {
    return {process_keys, probe_bindings(), update_bindings(), placement_bindings(), remedy_bindings()};
}

const Binding* find_binding(std::string_view key) {
    for (const auto table : all_bindings()) {
        const auto it = std::ranges::find(table, key, &Binding::key);
        if (it != table.end()) return &*it;
    }
    return nullptr;
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
        if (const auto misfit = strict_ ? misfit_of_deployer(spec_) : std::nullopt)
            return std::unexpected(bad_key(locate_, misfit->key, misfit->why, std::string(misfit->hint)));
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
            return std::unexpected(bad_key(locate_, "limits.memory",
                                           counted(*spec_.limits.memory_bytes, "byte is", "bytes are") +
                                               " too little for any process",
                                           "the least is \"1M\"; for 64 mebibytes write \"64M\""));
        if (strict_ && !spec_.domain.empty() && !spec_.port)
            return std::unexpected(bad_key(locate_, "domain", "a process without a port cannot have a domain",
                                           "add port = N, the port it listens on, or port = 0"));
        if (auto checked = strict_ ? check_probes(spec_, locate_) : Result<void>(); !checked)
            return std::unexpected(checked.error());
        if (auto checked = strict_ ? check_update(spec_, locate_) : Result<void>(); !checked)
            return std::unexpected(checked.error());
        if (auto checked = strict_ ? check_remedies(spec_, locate_) : Result<void>(); !checked)
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
        if (field.type == FieldType::TableList)
            return read_remedies(spec_.remedies, field.key, value, locate_, strict_);
        if (auto refusal = find_binding(field.key)->set(spec_, value); !refusal.why.empty())
            return std::unexpected(bad_key(locate_, field.key, refusal.why, std::move(refusal.hint)));
        return {};
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
    for (const auto table_bindings : all_bindings()) {
        for (const auto& binding : table_bindings) {
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

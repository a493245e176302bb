// How the keys of a process file go into a spec and come out of it. process_spec.cpp: what every process has;
// spec_probes.cpp, spec_update.cpp, spec_placement.cpp and spec_remedies.cpp: the tables with rules of their
// own.
#pragma once

#include "core/document.h"
#include "core/duration.h"
#include "core/json.h"
#include "core/process_spec.h"
#include "core/spec_values.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace p2prc {

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

inline Json get_time(std::chrono::seconds time) {
    return duration_text(static_cast<std::uint64_t>(time.count()));
}

inline Refusal set_size(std::optional<std::uint64_t>& into, const Json& value) {
    into = parse_size(value.is_string() ? value.get<std::string>() : value.dump());
    return into ? "" : "is not a size such as \"512M\" or \"2G\"";
}
// As text: a size of D-Bus and of the canonical form has one type.
inline Json get_size(const std::optional<std::uint64_t>& size) {
    return size ? Json(std::to_string(*size)) : Json(nullptr);
}

// `ready` and `live`.
std::span<const Binding> probe_bindings() noexcept;
std::span<const Binding> update_bindings() noexcept;
std::span<const Binding> placement_bindings() noexcept;
// `remedy`, whose errors name a key of one of its tables, has no `set`: read_remedies() does it.
std::span<const Binding> remedy_bindings() noexcept;
Result<void> read_remedies(std::vector<Remedy>& into, std::string_view key, const Json& list,
                           const Locate& locate, bool strict);

// What is wrong about several keys together.
Result<void> check_probes(const ProcessSpec& spec, const Locate& locate);
Result<void> check_update(const ProcessSpec& spec, const Locate& locate);
Result<void> check_remedies(const ProcessSpec& spec, const Locate& locate);

} // namespace p2prc

// What the reconciler follows: the names of its keys, and reading their documents.
#pragma once

#include "core/error.h"
#include "core/gate.h"
#include "daemon/state/state.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

namespace p2prc::daemon {

inline constexpr std::string_view processes_prefix = "/processes/";
inline constexpr std::string_view tombstones_prefix = "/tombstones/";

inline std::string local_prefix(std::string_view node) {
    return fmt::format("/local/{}/", node);
}

// The step at which a start fails that this node does not allow.
inline constexpr const char* refused_step = "policy";

// What came from the root enters by the gate alone; nothing for what that refuses.
template <class T>
std::optional<T> accepted(std::string_view key, const Json* document,
                          Result<T> (*accept)(std::string_view key, const Json&)) {
    if (!document) return {};
    auto value = accept(key, *document);
    if (!value) return {};
    return std::move(*value);
}

// Looked at before the rest is read: where each process is judged, all documents of all others are gone
// through.
inline bool is_named(const Json& document, std::string_view name) {
    if (!document.is_object()) return false;
    const auto found = document.find("name");
    return found != document.end() && found->is_string() && found->get_ref<const std::string&>() == name;
}

} // namespace p2prc::daemon

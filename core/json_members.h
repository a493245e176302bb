// Tolerant reading of members of a stored or received JSON document.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace p2prc::json {

// The member as T, or `otherwise` when it is missing, of another type or out of T's range.
template <class T>
T member(const nlohmann::json& document, std::string_view key, T otherwise = {}) {
    if (!document.is_object()) return otherwise;
    const auto it = document.find(key);
    if (it == document.end()) return otherwise;
    if constexpr (std::is_same_v<T, std::string>) {
        if (it->is_string()) return it->template get<std::string>();
    } else if constexpr (std::is_same_v<T, bool>) {
        if (it->is_boolean()) return it->template get<bool>();
    } else if constexpr (std::is_integral_v<T>) {
        if (it->is_number_unsigned()) {
            const auto value = it->template get<std::uint64_t>();
            if (value <= static_cast<std::uint64_t>(std::numeric_limits<T>::max()))
                return static_cast<T>(value);
        } else if (it->is_number_integer()) {
            // Negative, or positive and made from a signed number in this process rather than read from text.
            const auto value = it->template get<std::int64_t>();
            if (std::in_range<T>(value)) return static_cast<T>(value);
        }
    } else if constexpr (std::is_same_v<T, double>) {
        if (it->is_number()) return it->template get<double>();
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
        if (it->is_array()) {
            T list;
            for (const auto& item : *it)
                if (item.is_string()) list.push_back(item.template get<std::string>());
            return list;
        }
    } else if constexpr (std::is_same_v<T, std::vector<std::uint32_t>>) {
        if (it->is_array()) {
            T list;
            for (const auto& item : *it)
                if (item.is_number_unsigned() && item.template get<std::uint64_t>() <= UINT32_MAX)
                    list.push_back(item.template get<std::uint32_t>());
            return list;
        }
    } else {
        static_assert(std::is_same_v<T, void>, "no reader for this type");
    }
    return otherwise;
}

// The same, where nothing, null and a wrong value are all "not known".
template <class T>
std::optional<T> optional_member(const nlohmann::json& document, std::string_view key) {
    if (!document.is_object()) return std::nullopt;
    const auto it = document.find(key);
    if (it == document.end() || it->is_null()) return std::nullopt;
    // A value that is not T's leaves two different defaults as they are.
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
        const auto value = member<T>(document, key, T{0});
        if (value != T{0} || member<T>(document, key, T{1}) == T{0}) return value;
        return std::nullopt;
    } else if constexpr (std::is_same_v<T, double>) {
        if (it->is_number()) return it->template get<double>();
        return std::nullopt;
    } else {
        return member<T>(document, key);
    }
}

// The members whose keys are not in `known`, to be written back unchanged; null when there are none, for an
// empty object takes memory.
inline nlohmann::json unknown_members(const nlohmann::json& document,
                                      std::initializer_list<std::string_view> known) {
    nlohmann::json rest;
    for (const auto& [key, value] : document.items()) {
        bool is_known = false;
        for (const auto name : known)
            is_known = is_known || name == key;
        if (!is_known) rest[key] = value;
    }
    return rest;
}

inline void erase_member(nlohmann::json& document, std::string_view key) {
    if (document.is_object()) document.erase(std::string(key));
}

} // namespace p2prc::json

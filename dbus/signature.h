// Taking D-Bus signatures apart.
#pragma once

#include <string_view>

namespace p2prc::dbus {

// The first complete type of `signature`; empty when it is not well formed.
std::string_view first_type(std::string_view signature) noexcept;

inline bool is_integer_type(std::string_view type) noexcept {
    return type.size() == 1 && std::string_view("ynqiuxt").find(type[0]) != std::string_view::npos;
}

} // namespace p2prc::dbus

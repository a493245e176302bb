#include "dbus/signature.h"

#include <cstddef>

namespace p2prc::dbus {

namespace {

// Where the complete type at `at` ends; 0: nowhere. The specification allows 32 nested containers of a kind.
std::size_t type_end(std::string_view signature, std::size_t at, unsigned depth) noexcept {
    if (at >= signature.size() || depth > 64) return 0;
    const char kind = signature[at];
    if (std::string_view("ybnqiuxtdsogvh").find(kind) != std::string_view::npos) return at + 1;
    if (kind == 'a') return type_end(signature, at + 1, depth + 1);
    if (kind != '(' && kind != '{') return 0;
    const char close = kind == '(' ? ')' : '}';
    std::size_t next = at + 1;
    if (next < signature.size() && signature[next] == close) return 0;
    while (next < signature.size() && signature[next] != close) {
        next = type_end(signature, next, depth + 1);
        if (next == 0) return 0;
    }
    return next < signature.size() ? next + 1 : 0;
}

} // namespace

std::string_view first_type(std::string_view signature) noexcept {
    return signature.substr(0, type_end(signature, 0, 0));
}

} // namespace p2prc::dbus

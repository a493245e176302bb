// Builds ClientHellos, right and wrong ones, for the tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::edge::testing {

inline std::string number(std::size_t value, int width) {
    std::string bytes;
    for (int shift = (width - 1) * 8; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<char>(value >> shift & 0xff));
    return bytes;
}

inline std::string vector(std::string_view content, int width) {
    return number(content.size(), width).append(content);
}

inline std::string extension(std::size_t type, std::string_view content) {
    return number(type, 2) + vector(content, 2);
}

inline std::string sni(std::string_view name) {
    return extension(0, vector(std::string(1, '\0') + vector(name, 2), 2));
}

inline std::string alpn(const std::vector<std::string>& protocols) {
    std::string list;
    for (const auto& protocol : protocols)
        list += vector(protocol, 1);
    return extension(16, vector(list, 2));
}

// A handshake message with these extensions, one after another.
inline std::string message(std::string_view extensions) {
    const std::string body = number(0x0303, 2) + std::string(32, 'r') + vector(std::string(32, 's'), 1) +
                             vector(std::string("\x0a\x0a\x13\x01\x13\x02", 6), 2) +
                             vector(std::string(1, '\0'), 1) + vector(extensions, 2);
    return std::string(1, '\x01') + vector(body, 3);
}

inline std::string record(std::string_view fragment, char type = 22) {
    return std::string(1, type) + number(0x0301, 2) + vector(fragment, 2);
}

// `message` cut into records of `size` bytes.
inline std::string records(std::string_view whole, std::size_t size) {
    std::string bytes;
    for (; !whole.empty(); whole.remove_prefix(std::min(size, whole.size())))
        bytes += record(whole.substr(0, size));
    return bytes;
}

inline std::string hello(std::string_view name) {
    return record(message(sni(name) + alpn({"h2", "http/1.1"})));
}

} // namespace p2prc::edge::testing

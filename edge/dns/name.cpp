#include "edge/dns/name.h"

#include <fmt/core.h>

namespace p2prc::edge::dns {

Result<Name> name_from_text(std::string_view text) {
    const auto bad = [&](std::string_view why) {
        return fail(ErrorCode::InvalidSpec, fmt::format("'{}' is not a domain name: {}", text, why),
                    "use labels of at most 63 characters, separated by dots");
    };
    if (text == ".") return Name(1, '\0');
    Name name;
    std::string label;
    const auto end_label = [&] {
        name.push_back(static_cast<char>(label.size()));
        name += label;
        label.clear();
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '.') {
            if (label.empty()) return bad("it has an empty label");
            end_label();
            continue;
        }
        if (c == '\\') {
            const auto digit = [&](std::size_t at) {
                return at < text.size() && text[at] >= '0' && text[at] <= '9';
            };
            if (digit(i + 1) && digit(i + 2) && digit(i + 3)) {
                const int value = (text[i + 1] - '0') * 100 + (text[i + 2] - '0') * 10 + (text[i + 3] - '0');
                if (value > 255) return bad("an escape is above 255");
                c = static_cast<char>(value);
                i += 3;
            } else if (i + 1 < text.size() && !digit(i + 1)) {
                c = text[++i];
            } else {
                return bad("an escape is cut short");
            }
        }
        label.push_back(c);
        if (label.size() > 63) return bad("a label is longer than 63");
    }
    if (!label.empty()) end_label();
    if (name.empty()) return bad("it is empty");
    name.push_back('\0');
    if (name.size() > max_name) return bad("it is longer than 255");
    return name;
}

std::string name_to_text(std::string_view name) {
    if (name.size() <= 1) return ".";
    std::string text;
    for (std::size_t i = 0; i < name.size() && name[i] != 0;) {
        const std::size_t length = static_cast<std::uint8_t>(name[i++]);
        if (!text.empty()) text.push_back('.');
        for (const char c : name.substr(i, length)) {
            const auto byte = static_cast<std::uint8_t>(c);
            if (c == '.' || c == '\\')
                text += {'\\', c};
            else if (byte <= 0x20 || byte >= 0x7f)
                text += fmt::format("\\{:03}", byte);
            else
                text.push_back(c);
        }
        i += length;
    }
    return text;
}

Name lower(std::string_view name) {
    // A length byte is at most 63, below 'A', so lowering it changes nothing.
    Name lowered(name);
    for (char& c : lowered)
        c = static_cast<char>(lower_table[static_cast<std::uint8_t>(c)]);
    return lowered;
}

bool is_at_or_below(std::string_view name, std::string_view ancestor) noexcept {
    while (name.size() > ancestor.size())
        name = parent(name);
    return name == ancestor;
}

std::size_t name_length(std::string_view bytes) noexcept {
    std::size_t at = 0;
    while (at < bytes.size() && at < max_name) {
        const std::size_t length = static_cast<std::uint8_t>(bytes[at]);
        if (length == 0) return at + 1;
        if (length > 63) return 0;
        at += 1 + length;
    }
    return 0;
}

} // namespace p2prc::edge::dns

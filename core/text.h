// Text that came from somewhere else, made fit for where it goes: one function for each kind of place.
//
// Text from applications, other nodes and files may hold anything. Whoever passes it on makes it fit for the
// place where it goes (a D-Bus message, a terminal, a line of a unit or of the journal); whoever takes it in
// as a name or a setting refuses what does not belong there.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace p2prc::text {

// Whether it can stand in a D-Bus message as sd-bus writes it: UTF-8 (RFC 3629) without NUL and without the
// noncharacters U+FDD0-U+FDEF and U+xFFFE, U+xFFFF, which sd-bus 252 refuses (utf8_is_valid in systemd's
// basic/utf8.c goes by unichar_is_valid).
bool fits_bus(std::string_view text) noexcept;

// The same text with U+FFFD for each byte or character that does not fit.
std::string for_bus(std::string_view text);

// Whether it holds a character that moves a cursor, ends a line or is not shown: C0 (tab and newline too),
// DEL, C1, the line and paragraph separators, and the characters that change the direction of what follows.
bool has_controls(std::string_view text) noexcept;

enum class Lines { Keep, Replace };

// For a terminal, and for a line that people read: for_bus, and what has_controls() finds is replaced by
// U+FFFD, but for tab, and newline with Lines::Keep. ESC among it: no colours, no titles, no clipboard.
std::string for_terminal(std::string_view text, Lines lines = Lines::Replace);

// The first characters of `text`, together at most `bytes` bytes long: never a part of a character.
std::string_view cut(std::string_view text, std::size_t bytes) noexcept;

// For quoting foreign text in a message: for_terminal() of at most `bytes` bytes, and "..." after a cut.
std::string excerpt(std::string_view text, std::size_t bytes = 100);

} // namespace p2prc::text

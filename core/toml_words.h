// What a person is told about a text that is not TOML: the place, what was expected there, what to do.
#pragma once

#include "core/error.h"

#include <cstddef>
#include <string_view>

namespace p2prc {

struct TomlPlace {
    std::string_view file;
    std::size_t line = 1;   // from 1
    std::size_t column = 1; // from 1, in characters
};

// An InvalidSpec, "FILE:LINE:COLUMN: expected ...". The parser's own words tell the mistakes apart; they are
// not repeated, and what they say about a mistake that is not known here is not needed.
Error toml_error(std::string_view text, TomlPlace place, std::string_view parser_words);

} // namespace p2prc

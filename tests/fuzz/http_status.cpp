// Any bytes as the answer of a process that is probed: what was decided stays, and its words are one line.
#include "process/http_status.h"

#include "tests/fuzz/require.h"

#include <algorithm>
#include <cstdint>

using p2prc::fuzz::require;
using namespace p2prc::process;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    HttpStatus whole;
    const auto at_once = read_http_status(bytes, whole);
    for (std::size_t have = 0; have < std::min(size, longest_status_line + 2); ++have) {
        HttpStatus part;
        const auto so_far = read_http_status(bytes.substr(0, have), part);
        if (so_far == StatusRead::NeedMore) continue;
        require(so_far == at_once && part.code == whole.code && part.phrase == whole.phrase);
    }
    require(at_once != StatusRead::NeedMore || size < longest_status_line);
    if (at_once != StatusRead::Done) return 0;
    require(whole.code >= 100 && whole.code < 600);
    require(whole.phrase.size() < longest_status_line);
    require(std::ranges::none_of(whole.phrase, [](char c) { return c == '\r' || c == '\n' || c == '\0'; }));
    return 0;
}

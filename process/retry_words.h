// The words by which an attempt is announced, for those who look for them.
#pragma once

#include <string_view>

namespace p2prc::process {

// Behind how it ended, before the time to its next attempt; the last words of a reason's detail, or of what a
// deployment waits for.
inline constexpr std::string_view next_attempt_words = "; it is tried again after ";

} // namespace p2prc::process

// Where the source tree of this build is, for tests that compare with its files.
#pragma once

#include <string>
#include <string_view>

namespace p2prc::test {

// The absolute path of a file, named relative to the root of the source.
std::string source_path(std::string_view relative);

} // namespace p2prc::test

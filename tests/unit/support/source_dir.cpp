// The one file that is compiled with the path of the checkout: objects of all others are alike in every
// checkout, so that a compiler cache finds them.
#include "tests/unit/support/source_dir.h"

namespace p2prc::test {

std::string source_path(std::string_view relative) {
    return P2PRC_SOURCE_DIR "/" + std::string(relative);
}

} // namespace p2prc::test

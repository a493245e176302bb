#include "core/serving_keys.h"

#include <fmt/format.h>

namespace p2prc::keys {

std::string serving(std::string_view node, std::string_view fqdn) {
    return fmt::format("/serving/{}/{}", node, fqdn);
}

} // namespace p2prc::keys

// The type of JSON documents, for headers that only pass them on.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace p2prc {

using Json = nlohmann::json;

} // namespace p2prc

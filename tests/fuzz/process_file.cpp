// Process files and files of routes: text that people, or a peer, hand in.
#include "core/process_spec.h"
#include "core/route_table.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <cstdlib>

using namespace p2prc;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto spec = spec_from_toml(text, "fuzz.toml")) {
        // What was accepted comes out of the store as it went in.
        if (spec_from_stored(spec_to_document(*spec)) != *spec) std::abort();
        (void)spec_digest(*spec);
    }
    (void)route_table_from_toml(text, "fuzz.toml",
                                [](const std::string&) -> Result<std::string> { return std::string(); });
    const auto document = nlohmann::json::parse(text, nullptr, false);
    if (!document.is_discarded()) {
        (void)spec_from_stored(document);
        (void)route_table_from_json(document);
    }
    return 0;
}

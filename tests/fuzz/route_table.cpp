// A table of routes as p2prcd or the copy on disk may bring it: what is admitted of its zones can be served.
#include "edge/dns/snapshot.h"
#include "edge/dns/zone.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

using namespace p2prc;
using namespace p2prc::edge::dns;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto document = nlohmann::json::parse(data, data + size, nullptr, false);
    auto table = route_table_from_json(document);
    if (!table) return 0;
    const auto admitted = admit_zones(*table, {});
    if (admitted.size() != table->zones.size()) std::abort();
    RouteTable served = *table;
    served.zones.clear();
    for (const AdmittedZone& zone : admitted) {
        if (!zone.served && zone.rejected.empty()) std::abort(); // nothing is left out without a word
        if (zone.served) served.zones.push_back(*zone.served);
    }
    auto zones = compile_zones(served);
    if (!zones) std::abort();
    if (!Snapshot::build(*zones)) std::abort();
    return 0;
}

// A flow header: whatever is read is written and read again to the same.
#include "tunnel/flow_header.h"

#include "tunnel/preface.h"
#include "tunnel/seal.h"

#include <cstdlib>

using namespace p2prc;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView input(data, size);
    if (const auto header = tunnel::parse_flow_header(input)) {
        const auto bytes = tunnel::encode_flow_header(*header);
        if (bytes && tunnel::parse_flow_header(*bytes) != header) std::abort();
    }
    // A preface and a sealed header of somebody without the keys.
    static tunnel::FlowSeals seals{Bytes(tunnel::exporter_size, 7)};
    if (size >= tunnel::preface_size) {
        const auto flow = tunnel::parse_preface(input.first(tunnel::preface_size));
        if (flow) {
            seals.verify_preface(*flow, input.first(tunnel::preface_size));
            seals.open_header(*flow, input.subspan(tunnel::preface_size));
        }
    }
    return 0;
}

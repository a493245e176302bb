#include "tunnel/flow_header.h"

#include "net/proxy_protocol.h"
#include "tunnel/wire.h"

#include <fmt/format.h>

namespace p2prc::tunnel {

Result<Bytes> encode_flow_header(const FlowHeader& header) {
    net::ProxyHeader proxy;
    proxy.source = header.client;
    proxy.destination = header.server;
    net::ProxyTlv mapping{tlv_mapping, {}};
    put(mapping.value, header.mapping_id);
    proxy.tlvs.push_back(std::move(mapping));
    const std::uint8_t flags = header.sealed ? flow_sealed : 0;
    proxy.tlvs.push_back({tlv_flow, {flags}});
    if (!header.server_name.empty()) {
        const ByteView name = as_bytes(header.server_name);
        proxy.tlvs.push_back({net::proxy_tlv_authority, Bytes(name.begin(), name.end())});
    }
    Result<Bytes> bytes = net::encode_proxy_header(proxy);
    if (bytes && bytes->size() > max_flow_header)
        return fail(ErrorCode::InvalidSpec, fmt::format("a flow header of {} bytes, at most {} are allowed",
                                                        bytes->size(), max_flow_header));
    return bytes;
}

Result<FlowHeader> parse_flow_header(ByteView bytes) {
    const Result<net::ProxyHeader> proxy = net::decode_proxy_header(bytes);
    if (!proxy) return std::unexpected(proxy.error());
    const net::ProxyTlv* mapping = proxy->find(tlv_mapping);
    if (!mapping || mapping->value.size() != 4)
        return fail(ErrorCode::InvalidSpec, "a flow header without a mapping id");
    FlowHeader header;
    header.mapping_id = get_at<std::uint32_t>(mapping->value.data());
    if (const net::ProxyTlv* flow = proxy->find(tlv_flow)) {
        if (flow->value.size() != 1 || (flow->value[0] & ~flow_sealed) != 0)
            return fail(ErrorCode::InvalidSpec, "a flow header with flags that this version does not know");
        header.sealed = (flow->value[0] & flow_sealed) != 0;
    }
    if (proxy->source) header.client = *proxy->source;
    if (proxy->destination) header.server = *proxy->destination;
    if (const net::ProxyTlv* name = proxy->find(net::proxy_tlv_authority))
        header.server_name.assign(name->value.begin(), name->value.end());
    return header;
}

bool may_travel_unsealed(TlsMode mode) noexcept {
    switch (mode) {
    case TlsMode::Passthrough:
    case TlsMode::Node:
        return true;
    }
    return false;
}

} // namespace p2prc::tunnel

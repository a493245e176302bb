#include "net/proxy_protocol.h"
#include "tunnel/flow_header.h"

#include <gtest/gtest.h>

using namespace p2prc;
using namespace p2prc::tunnel;

namespace {

FlowHeader example() {
    return {7, false, *net::Endpoint::parse("198.51.100.9:40000"), *net::Endpoint::parse("203.0.113.1:443"),
            "app.home.example"};
}

TEST(FlowHeader, ReadsWhatItWrote) {
    FlowHeader header = example();
    for (const bool sealed : {false, true}) {
        header.sealed = sealed;
        const auto bytes = encode_flow_header(header);
        ASSERT_TRUE(bytes);
        const auto read = parse_flow_header(*bytes);
        ASSERT_TRUE(read) << read.error().message;
        EXPECT_EQ(*read, header);
    }
}

TEST(FlowHeader, CarriesIpv6) {
    FlowHeader header = example();
    header.client = *net::Endpoint::parse("[2001:db8::7]:1");
    header.server = *net::Endpoint::parse("[2001:db8::1]:443");
    const auto bytes = encode_flow_header(header);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(*parse_flow_header(*bytes), header);
}

TEST(FlowHeader, NeedsAMappingId) {
    net::ProxyHeader proxy;
    proxy.source = example().client;
    proxy.destination = example().server;
    EXPECT_FALSE(parse_flow_header(*net::encode_proxy_header(proxy)));
    proxy.tlvs = {{tlv_mapping, {0, 0, 1}}};
    EXPECT_FALSE(parse_flow_header(*net::encode_proxy_header(proxy)));
    proxy.tlvs = {{tlv_mapping, {0, 0, 1, 2}}};
    const auto read = parse_flow_header(*net::encode_proxy_header(proxy));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->mapping_id, 258u);
    EXPECT_FALSE(read->sealed);
}

TEST(FlowHeader, RefusesFlagsItDoesNotKnow) {
    net::ProxyHeader proxy;
    proxy.source = example().client;
    proxy.destination = example().server;
    proxy.tlvs = {{tlv_mapping, {0, 0, 0, 1}}, {tlv_flow, {2}}};
    EXPECT_FALSE(parse_flow_header(*net::encode_proxy_header(proxy)));
}

TEST(FlowHeader, RefusesEveryCut) {
    const auto bytes = encode_flow_header(example());
    ASSERT_TRUE(bytes);
    for (std::size_t size = 0; size < bytes->size(); ++size)
        EXPECT_FALSE(parse_flow_header(ByteView(*bytes).first(size))) << size;
}

TEST(FlowHeader, OnlyCiphertextMayTravelUnsealed) {
    EXPECT_TRUE(may_travel_unsealed(TlsMode::Passthrough));
    EXPECT_TRUE(may_travel_unsealed(TlsMode::Node));
    EXPECT_FALSE(may_travel_unsealed(static_cast<TlsMode>(17)));
}

} // namespace

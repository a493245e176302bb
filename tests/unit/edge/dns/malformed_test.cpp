#include "message.h"

#include <gmock/gmock.h>

namespace p2prc::edge::dns::testing {
namespace {

class Malformed : public ::testing::Test {
  protected:
    Wire reply(const Wire& request, Transport transport = Transport::Udp) const {
        return answer_bytes(*snapshot_, request, transport);
    }
    // Expects FORMERR with id, opcode and RD copied; the question only when `echoed`.
    void expect_formerr(const Wire& request, bool echoed) const {
        const Message message = read_message(reply(request));
        EXPECT_EQ(message.rcode(), 1);
        EXPECT_EQ(message.id, 0x1234);
        EXPECT_EQ(message.flags & ~0xf, flag_qr | (request[2] << 8 & flag_rd));
        EXPECT_EQ(message.qname, echoed ? "home.example" : "");
        EXPECT_TRUE(message.sections[0].empty() && message.sections[1].empty());
    }
    std::shared_ptr<const Snapshot> snapshot_ =
        snapshot_of("home.example", "@ SOA ns1 h 1 1 1 1 60\n@ NS ns1\nns1 A 192.0.2.1\n@ A 192.0.2.1\n");
    const Wire good_ = make_query({"home.example", type::A, std::nullopt, flag_rd});
};

TEST_F(Malformed, DropsWhatIsNoRequest) {
    for (std::size_t size = 0; size < 12; ++size)
        EXPECT_TRUE(reply(Wire(good_.begin(), good_.begin() + static_cast<std::ptrdiff_t>(size))).empty());
    Wire response = good_;
    response[2] |= 0x80;
    EXPECT_TRUE(reply(response).empty());
}

TEST_F(Malformed, EveryCutIsAnsweredAsFarAsItParsed) {
    for (std::size_t size = 12; size < good_.size(); ++size)
        expect_formerr(Wire(good_.begin(), good_.begin() + static_cast<std::ptrdiff_t>(size)), false);
    const Wire edns = make_query({"home.example", type::A, Edns0{}});
    for (std::size_t size = good_.size(); size < edns.size(); ++size)
        expect_formerr(Wire(edns.begin(), edns.begin() + static_cast<std::ptrdiff_t>(size)), true);
}

TEST_F(Malformed, CountsMustBeTrue) {
    Wire request = good_;
    request[5] = 0; // QDCOUNT 0
    expect_formerr(request, false);
    request[5] = 2; // RFC 9619
    expect_formerr(request, false);
    request = good_;
    request.push_back(0); // trailing byte
    expect_formerr(request, true);
    request = good_;
    request[7] = 1; // an answer in a query
    expect_formerr(request, true);
    request = good_;
    request[9] = 1;
    expect_formerr(request, true);
    request = good_;
    request[11] = 1;
    expect_formerr(request, true);
}

TEST_F(Malformed, NamesInTheQuestionAreWholeAndShort) {
    const auto question = [](const Wire& name) {
        Wire request{0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
        request.insert(request.end(), name.begin(), name.end());
        request.insert(request.end(), {0, 1, 0, 1});
        return request;
    };
    expect_formerr(question({0xc0, 12}), false);         // a pointer to itself
    expect_formerr(question({1, 'a', 0xc0, 12}), false); // and back
    expect_formerr(question({0x41, 'a', 0}), false);     // reserved label types
    expect_formerr(question({0x80, 'a', 0}), false);
    Wire longest;
    for (int i = 0; i < 127; ++i)
        longest.insert(longest.end(), {1, 'a'});
    Wire too_long = longest;
    longest.push_back(0); // 255 bytes
    EXPECT_EQ(read_message(reply(question(longest))).rcode(), 5);
    too_long.insert(too_long.end(), {1, 'a', 0});
    expect_formerr(question(too_long), false);
}

TEST_F(Malformed, OtherOpcodesAreNotImplemented) {
    for (unsigned opcode = 1; opcode < 16; ++opcode) {
        Wire request = good_;
        request[2] = static_cast<std::uint8_t>(request[2] | opcode << 3);
        const Message message = read_message(reply(request));
        EXPECT_EQ(message.rcode(), 4);
        EXPECT_EQ(message.flags >> 11 & 0xf, static_cast<int>(opcode));
        EXPECT_TRUE(message.has(flag_rd));
        // A header alone: what follows is the opcode's own (RFC 8906 section 8.1.3).
        const Wire header(request.begin(), request.begin() + 12);
        EXPECT_EQ(read_message(reply(header)).rcode(), 4);
    }
}

TEST_F(Malformed, MetaTypesAreNoQuestions) {
    const auto rcode = [&](std::uint16_t qtype) { return ask(*snapshot_, {"home.example", qtype}).rcode(); };
    EXPECT_EQ(rcode(0), 1);
    EXPECT_EQ(rcode(type::OPT), 1);
    EXPECT_EQ(rcode(type::TSIG), 1);
    EXPECT_EQ(rcode(249), 4);
    EXPECT_EQ(rcode(254), 4);
    EXPECT_EQ(rcode(type::RRSIG), 0); // no data
    EXPECT_EQ(rcode(65534), 0);
}

Wire with_record(Wire request, const Wire& record) {
    ++request[11];
    request.insert(request.end(), record.begin(), record.end());
    return request;
}

TEST_F(Malformed, OtherAdditionalRecordsAreSteppedOver) {
    const Wire a_record{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4};
    EXPECT_EQ(read_message(reply(with_record(good_, a_record))).rcode(), 0);
    Wire forward = a_record;
    forward[1] = 60; // a pointer ahead
    expect_formerr(with_record(good_, forward), true);
    Wire long_data = a_record;
    long_data[11] = 5;
    expect_formerr(with_record(good_, long_data), true);
}

TEST_F(Malformed, IxfrWithItsSoaIsRefused) {
    Wire request = make_query({"home.example", type::IXFR});
    request[9] = 1;
    const Wire soa{0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0, 0, 0, 0,
                   1,    0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0};
    request.insert(request.end(), soa.begin(), soa.end());
    EXPECT_EQ(read_message(reply(request)).rcode(), 5);
}

// An owner, class ANY, TTL 0; hmac-sha256, a time, a MAC of two bytes.
Wire tsig_record() {
    Wire record = wire_name("key.example");
    record.insert(record.end(), {0, 250, 0, 255, 0, 0, 0, 0});
    Wire data = wire_name("hmac-sha256");
    data.insert(data.end(), {0, 0, 0x65, 1, 2, 3, 1, 44, 0, 2, 9, 9, 0xab, 0xcd, 0, 0, 0, 0});
    record.insert(record.end(), {0, static_cast<std::uint8_t>(data.size())});
    record.insert(record.end(), data.begin(), data.end());
    return record;
}

TEST_F(Malformed, AnUnknownTsigKeyIsBadkey) {
    const Message message = read_message(reply(with_record(good_, tsig_record())));
    EXPECT_EQ(message.rcode(), 9); // NOTAUTH
    ASSERT_EQ(message.sections[2].size(), 1u);
    const ResourceRecord& tsig = message.sections[2][0];
    EXPECT_EQ(tsig.owner, "key.example");
    EXPECT_EQ(tsig.type, type::TSIG);
    EXPECT_EQ(tsig.rclass, class_any);
    Wire expected = wire_name("hmac-sha256");
    expected.insert(expected.end(), {0, 0, 0x65, 1, 2, 3, 1, 44, 0, 0, 0xab, 0xcd, 0, 17, 0, 0});
    EXPECT_EQ(tsig.rdata, expected);
}

TEST_F(Malformed, TsigIsLastAndWhole) {
    const Wire record = tsig_record();
    expect_formerr(with_record(with_record(good_, record), record), true);
    for (std::size_t i = 1; i < record.size(); ++i)
        expect_formerr(
            with_record(good_, Wire(record.begin(), record.end() - static_cast<std::ptrdiff_t>(i))), true);
    Wire in_class = record;
    in_class[16] = 1;
    expect_formerr(with_record(good_, in_class), true);
}

} // namespace
} // namespace p2prc::edge::dns::testing

// Hand-built requests and read-back answers, independent of the server's own parser.
#pragma once

#include "core/route_table.h"
#include "edge/dns/answer.h"
#include "edge/dns/constants.h"
#include "edge/dns/snapshot.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::edge::dns::testing {

using Wire = std::vector<std::uint8_t>;

struct Edns0 {
    std::uint16_t size = 1232;
    std::uint16_t flags = 0;
    std::uint8_t version = 0;
    Wire options = {};
};

struct Query {
    std::string name;
    std::uint16_t type = type::A;
    std::optional<Edns0> edns = std::nullopt;
    std::uint16_t flags = 0;
    std::uint16_t id = 0x1234;
    std::uint16_t qclass = 1;
};

// A name in wire form; "." is the root.
Wire wire_name(const std::string& text);
Wire make_query(const Query& query);

struct ResourceRecord {
    std::string owner; // with its case
    std::uint16_t type = 0;
    std::uint16_t rclass = 0;
    std::uint32_t ttl = 0;
    Wire rdata;       // as it was sent
    std::string name; // the name in it, for types that hold one first (after a preference for MX)
};

struct Message {
    std::uint16_t id = 0;
    std::uint16_t flags = 0;
    std::string qname; // empty: no question
    std::uint16_t qtype = 0;
    std::vector<ResourceRecord> sections[3];
    std::size_t size = 0;

    int rcode() const; // OPT's bits included
    bool has(std::uint16_t flag) const { return (flags & flag) != 0; }
    const ResourceRecord* opt() const;
    // "owner TYPE" of each record of the section, the name in the data after it where there is one; sorted.
    std::vector<std::string> texts(int section) const;
};

// Throws std::runtime_error where the message is malformed, trailing bytes included.
Message read_message(const Wire& bytes);

// Compiles and packs; throws with the error's message.
std::shared_ptr<const Snapshot> snapshot_of(const RouteTable& table);
std::shared_ptr<const Snapshot> snapshot_of(const std::string& zone, const std::string& text);

// The answer's bytes; empty: none.
Wire answer_bytes(const Snapshot& snapshot, const Wire& request, Transport transport = Transport::Udp);
Message ask(const Snapshot& snapshot, const Query& query, Transport transport = Transport::Udp);

} // namespace p2prc::edge::dns::testing

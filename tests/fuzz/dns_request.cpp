// Any bytes as a request, over both transports, against a fixed zone: no crash, and an answer that is in
// bounds, belongs to its request and parses again.
#include "edge/dns/answer.h"
#include "edge/dns/wire.h"
#include "edge/dns/zone.h"

#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

using namespace p2prc::edge::dns;

constexpr const char* zone_text = R"($TTL 300
@ SOA ns1 hostmaster 7 3600 900 1209600 60
@ NS ns1
@ MX 10 mail
@ TXT "apex"
ns1 A 192.0.2.1
mail A 192.0.2.2
a.b.c A 192.0.2.3
*.w MX 5 x.w
*.v CNAME q.w
alias CNAME mail
gone CNAME nowhere
loop CNAME pool
pool CNAME loop
out CNAME example.net.
cut CNAME x.sub
sub NS ns.sub
sub DS 1 13 2 00
ns.sub A 192.0.2.10
srv SRV 0 5 5060 mail
svc HTTPS 1 . alpn=h2
big TXT 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789
)";

const Snapshot& snapshot() {
    static const auto made = [] {
        p2prc::RouteTable table;
        std::string text = zone_text;
        for (int i = 0; i < 20; ++i)
            text += "big TXT \"" + std::string(60, 'x') + std::to_string(i) + "\"\n";
        table.zones.push_back({"home.example", {}, text, "fuzz.zone", {}});
        table.zones.push_back({"inner.home.example", {"192.0.2.9"}, "", "", {}});
        const auto zones = compile_zones(table);
        if (!zones) std::abort();
        return Snapshot::build(*zones);
    }();
    return *made;
}

void require(bool holds) {
    if (!holds) std::abort();
}

// Every name, pointer and length of the answer lies in it.
void check_names(const std::uint8_t* bytes, std::size_t size) {
    std::size_t at = header_size;
    const auto skip_name = [&] {
        std::size_t total = 0;
        bool jumped = false;
        for (std::size_t from = at;;) {
            require(from < size);
            const std::size_t length = bytes[from];
            if (length >= 0xc0) {
                require(from + 1 < size);
                const std::size_t target = (length & 0x3f) << 8 | bytes[from + 1];
                require(target < from && target >= header_size);
                if (!jumped) at = from + 2;
                jumped = true;
                from = target;
                continue;
            }
            require(length <= 63);
            total += length + 1;
            require(total <= max_name);
            from += length + 1;
            if (!jumped) at = from;
            if (length == 0) return;
        }
    };
    if (get16(bytes + 4) == 1) {
        skip_name();
        at += 4;
    }
    const int records = get16(bytes + 6) + get16(bytes + 8) + get16(bytes + 10);
    for (int i = 0; i < records; ++i) {
        skip_name();
        require(at + 10 <= size);
        const std::size_t end = at + 10 + get16(bytes + at + 8);
        const std::uint16_t type = get16(bytes + at);
        at += 10;
        if (type == type::NS || type == type::CNAME) {
            skip_name();
            require(at == end);
        }
        at = end;
        require(at <= size);
    }
    require(at == size);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Request scratch;
    for (const Transport transport : {Transport::Udp, Transport::Tcp}) {
        // Exact allocations, so that a step past either end is seen.
        const std::vector<std::uint8_t> request(data, data + size);
        std::vector<std::uint8_t> out(answer_limit(transport));
        const Answer made = answer(request, snapshot(), transport, scratch, out);
        if (size < header_size || (data[2] & 0x80) != 0) {
            require(made.size == 0);
            continue;
        }
        require(made.size >= header_size && made.size <= out.size());
        require(std::memcmp(out.data(), data, 2) == 0);
        require((out[2] & 0x80) != 0 && (out[2] & 0x79) == (data[2] & 0x79) && (out[3] & 0x80) == 0);
        if (transport == Transport::Udp && !scratch.edns.present) require(made.size <= udp_plain);
        check_names(out.data(), made.size);
    }
    const std::vector<std::uint8_t> request(data, data + size);
    std::vector<std::uint8_t> out(answer_limit(Transport::Udp));
    const Answer cut = truncated_answer(request, scratch, out);
    // Or forged questions would be worth their while.
    require(cut.size <= size);
    if (cut.size != 0) check_names(out.data(), cut.size);
    return 0;
}

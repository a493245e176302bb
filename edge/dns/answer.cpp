#include "edge/dns/answer.h"

#include "edge/dns/wire.h"

#include <algorithm>
#include <cstring>

namespace p2prc::edge::dns {
namespace {

constexpr std::uint16_t tsig_badkey = 17; // RFC 8945 section 3

void write_header(std::uint8_t* out, const Request& request, unsigned flags,
                  const std::uint16_t (&counts)[4]) noexcept {
    // RD and CD are copied (RFC 1035 section 4.1.1, RFC 4035 section 3.1.6); RA, AD and Z stay clear.
    const unsigned copied = request.flags & (mask_opcode | flag_rd | flag_cd);
    put16(out, request.id);
    put16(out + 2, flag_qr | copied | flags);
    for (std::size_t i = 0; i < 4; ++i)
        put16(out + 4 + 2 * i, counts[i]);
}

// RFC 6891 section 6.1: our payload size and version, the upper bits of the RCODE, DO as it was asked.
void write_opt(std::uint8_t* out, const Edns& edns, Rcode rcode) noexcept {
    out[0] = 0;
    put16(out + 1, type::OPT);
    put16(out + 3, udp_edns);
    out[5] = static_cast<std::uint8_t>(static_cast<unsigned>(rcode) >> 4);
    out[6] = 0;
    put16(out + 7, edns.dnssec_ok ? flag_do : 0);
    put16(out + 9, 0);
}

// An unsigned TSIG record that says the key is not known here (RFC 8945 section 5.2.1). 0: no room.
std::size_t write_badkey(std::span<std::uint8_t> out, const Request& request) noexcept {
    const Tsig& tsig = request.tsig;
    const std::size_t data = tsig.algorithm.size() + tsig.time_and_fudge.size() + 8;
    const std::size_t size = tsig.key.size() + 10 + data;
    if (size > out.size()) return 0;
    std::uint8_t* at = out.data();
    const auto copy = [&](std::string_view bytes) {
        std::memcpy(at, bytes.data(), bytes.size());
        at += bytes.size();
    };
    copy(tsig.key);
    put16(at, type::TSIG);
    put16(at + 2, class_any);
    put32(at + 4, 0);
    put16(at + 8, static_cast<std::uint32_t>(data));
    at += 10;
    copy(tsig.algorithm);
    copy(tsig.time_and_fudge);
    put16(at, 0); // MAC size
    put16(at + 2, tsig.original_id);
    put16(at + 4, tsig_badkey);
    put16(at + 6, 0); // other data
    return size;
}

class Writer {
  public:
    Writer(std::span<const std::uint8_t> bytes, const Request& request, Transport transport,
           std::span<std::uint8_t> out) noexcept
        : bytes_(bytes)
        , request_(request)
        , out_(out) {
        if (transport == Transport::Tcp)
            limit_ = tcp_limit;
        else if (request.edns.present)
            limit_ = std::clamp<std::size_t>(request.edns.payload, udp_plain, udp_edns);
        else
            limit_ = udp_plain;
        limit_ = std::min(limit_, out.size());
        size_ = header_size + request.question_size;
        // The QNAME goes back byte for byte: resolvers compare its case (draft-vixie-dnsext-dns0x20).
        std::memcpy(out.data() + header_size, bytes.data() + header_size, request.question_size);
    }

    // `flags`: the RCODE's lower bits, and TC perhaps.
    Answer empty(Rcode rcode, unsigned flags) noexcept {
        std::uint16_t additional = 0;
        add_opt(rcode, additional);
        if (request_.tsig.present && rcode == Rcode::NotAuth) {
            const std::size_t added = write_badkey(out_.subspan(size_, limit_ - size_), request_);
            if (added == 0) flags |= flag_tc;
            if (added != 0) ++additional;
            size_ += added;
        }
        const std::uint16_t questions = request_.question_size != 0 ? 1 : 0;
        write_header(out_.data(), request_, flags, {questions, 0, 0, additional});
        return {size_, rcode, (flags & flag_tc) != 0};
    }

    Answer error(Rcode rcode) noexcept { return empty(rcode, static_cast<unsigned>(rcode) & 0xf); }

    Answer packed(const Snapshot& snapshot, const Packed& packed) noexcept {
        const std::size_t room = limit_ - size_ - (request_.edns.present ? opt_size : 0);
        const auto rcode = static_cast<Rcode>(packed.flags & 0xf);
        if (packed.size > room) return cut(snapshot, packed, room, rcode);
        std::uint16_t additional = packed.counts[2];
        append(snapshot, packed, packed.size);
        add_opt(rcode, additional);
        write_header(out_.data(), request_, packed.flags,
                     {1, packed.counts[0], packed.counts[1], additional});
        return {size_, rcode, false};
    }

  private:
    // Whole RRsets are dropped, from the end (RFC 2181 section 9).
    Answer cut(const Snapshot& snapshot, const Packed& packed, std::size_t room, Rcode rcode) noexcept {
        std::uint16_t counts[4] = {1, 0, 0, 0};
        std::size_t kept = 0;
        unsigned flags = packed.flags;
        for (const RRsetEnd& end : snapshot.ends(packed)) {
            if (end.end > room) {
                if (end.required) flags |= flag_tc;
                break;
            }
            kept = end.end;
            std::uint16_t& count = counts[1 + static_cast<std::size_t>(end.section)];
            count = static_cast<std::uint16_t>(count + end.records);
        }
        append(snapshot, packed, kept);
        add_opt(rcode, counts[3]);
        write_header(out_.data(), request_, flags, counts);
        return {size_, rcode, (flags & flag_tc) != 0};
    }

    void append(const Snapshot& snapshot, const Packed& packed, std::size_t size) noexcept {
        std::uint8_t* to = out_.data() + size_;
        std::memcpy(to, snapshot.bytes(packed), size);
        size_ += size;
        const std::size_t longer = request_.name_size - packed.name_size;
        if (longer == 0) return;
        for (const std::uint16_t pointer : snapshot.pointers(packed)) {
            if (pointer >= size) break;
            put16(to + pointer, static_cast<std::uint32_t>(get16(to + pointer) + longer));
        }
    }

    void add_opt(Rcode rcode, std::uint16_t& additional) noexcept {
        if (!request_.edns.present) return;
        write_opt(out_.data() + size_, request_.edns, rcode);
        size_ += opt_size;
        ++additional;
    }

    std::span<const std::uint8_t> bytes_;
    const Request& request_;
    std::span<std::uint8_t> out_;
    std::size_t limit_ = 0;
    std::size_t size_ = 0;
};

} // namespace

Answer answer(std::span<const std::uint8_t> bytes, const Snapshot& snapshot, Transport transport,
              Request& request, std::span<std::uint8_t> out) noexcept {
    read_request(bytes, request);
    if (request.drop) return {};
    Writer writer(bytes, request, transport, out);
    if (request.rcode != Rcode::NoError) return writer.error(request.rcode);
    if (request.tsig.present) return writer.error(Rcode::NotAuth);
    if (request.qclass != class_in) return writer.error(Rcode::Refused);
    if (is_meta(request.qtype) && request.qtype != type::ANY) {
        const bool transfer = request.qtype == type::AXFR || request.qtype == type::IXFR;
        const bool never = request.qtype == type::OPT || request.qtype == type::TSIG || request.qtype == 0;
        return writer.error(transfer ? Rcode::Refused : never ? Rcode::FormErr : Rcode::NotImp);
    }
    const Packed* packed = snapshot.find(request);
    if (packed == nullptr) return writer.error(Rcode::Refused);
    return writer.packed(snapshot, *packed);
}

Answer truncated_answer(std::span<const std::uint8_t> bytes, Request& request,
                        std::span<std::uint8_t> out) noexcept {
    read_request(bytes, request);
    if (request.drop) return {};
    Writer writer(bytes, request, Transport::Udp, out);
    if (request.rcode != Rcode::NoError) return writer.error(request.rcode);
    return writer.empty(Rcode::NoError, flag_tc);
}

} // namespace p2prc::edge::dns

#include "edge/dns/request.h"

#include "edge/dns/wire.h"

namespace p2prc::edge::dns {
namespace {

using Bytes = std::span<const std::uint8_t>;

std::string_view view(Bytes bytes, std::size_t from, std::size_t size) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()) + from, size};
}

// The question's name at offset 12. A pointer there could only lead into the header or forwards, so none is
// taken.
bool read_question(Bytes bytes, Request& request) noexcept {
    std::size_t at = header_size;
    std::size_t written = 0;
    std::size_t labels = 0;
    for (;;) {
        if (at >= bytes.size()) return false;
        const std::size_t length = bytes[at];
        if (length > 63 || written + length + 1 > max_name || at + length + 1 > bytes.size()) return false;
        request.labels[labels] = static_cast<std::uint8_t>(written);
        request.lowered[written++] = static_cast<char>(length);
        ++at;
        if (length == 0) break;
        ++labels;
        for (std::size_t i = 0; i < length; ++i)
            request.lowered[written++] = static_cast<char>(lower_table[bytes[at++]]);
    }
    if (bytes.size() - at < 4) return false;
    request.name_size = written;
    request.label_count = labels;
    request.qtype = get16(&bytes[at]);
    request.qclass = get16(&bytes[at + 2]);
    request.question_size = written + 4;
    return true;
}

// Steps over an owner name, which may end in a pointer to something before it.
bool skip_name(Bytes bytes, std::size_t& at) noexcept {
    const std::size_t start = at;
    for (;;) {
        if (at >= bytes.size() || at - start >= max_name) return false;
        const std::uint8_t length = bytes[at];
        if (length == 0) {
            ++at;
            return true;
        }
        if (length >= 0xc0) {
            if (bytes.size() - at < 2) return false;
            const std::size_t target = get16(&bytes[at]) & 0x3fff;
            at += 2;
            return target >= header_size && target < start;
        }
        if (length > 63) return false;
        at += 1 + std::size_t{length};
    }
}

bool read_opt(Bytes bytes, std::size_t fixed, Bytes data, Edns& edns) noexcept {
    edns.present = true;
    edns.payload = get16(&bytes[fixed + 2]);
    edns.version = bytes[fixed + 5];
    edns.dnssec_ok = (get16(&bytes[fixed + 6]) & flag_do) != 0;
    for (std::size_t at = 0; at < data.size();) {
        if (data.size() - at < 4) return false;
        const std::size_t length = get16(&data[at + 2]);
        if (data.size() - at - 4 < length) return false;
        at += 4 + length;
    }
    return true;
}

bool read_tsig(Bytes bytes, std::size_t owner, std::size_t fixed, std::size_t data, std::size_t length,
               Tsig& tsig) noexcept {
    const std::string_view rdata = view(bytes, data, length);
    tsig.key = view(bytes, owner, fixed - owner);
    // RFC 8945 section 4.2: class ANY, TTL 0, names not compressed.
    if (name_length(tsig.key) != tsig.key.size() || get16(&bytes[fixed + 2]) != class_any ||
        get32(&bytes[fixed + 4]) != 0)
        return false;
    const std::size_t algorithm = name_length(rdata);
    if (algorithm == 0 || rdata.size() - algorithm < 10) return false;
    const std::size_t mac = get16(rdata, algorithm + 8);
    if (rdata.size() - algorithm - 10 < mac + 6) return false;
    const std::size_t after = algorithm + 10 + mac;
    const std::size_t other = get16(rdata, after + 4);
    if (rdata.size() - after - 6 != other) return false;
    tsig.present = true;
    tsig.algorithm = rdata.substr(0, algorithm);
    tsig.time_and_fudge = rdata.substr(algorithm, 8);
    tsig.original_id = get16(rdata, after);
    return true;
}

bool skip_records(Bytes bytes, std::size_t& at, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        if (!skip_name(bytes, at) || bytes.size() - at < 10) return false;
        const std::size_t length = get16(&bytes[at + 8]);
        at += 10;
        if (bytes.size() - at < length) return false;
        at += length;
    }
    return true;
}

bool read_additional(Bytes bytes, std::size_t at, std::size_t count, Request& request) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t owner = at;
        if (!skip_name(bytes, at) || bytes.size() - at < 10) return false;
        const std::size_t fixed = at;
        const std::uint16_t type = get16(&bytes[fixed]);
        const std::size_t length = get16(&bytes[fixed + 8]);
        at += 10;
        if (bytes.size() - at < length) return false;
        if (type == type::OPT) {
            // RFC 6891 section 6.1.1: at most one, and its owner is the root.
            if (request.edns.present || fixed - owner != 1) return false;
            if (!read_opt(bytes, fixed, bytes.subspan(at, length), request.edns)) return false;
        } else if (type == type::TSIG) {
            // RFC 8945 section 5.1: the last record, and the only one of its type.
            if (i + 1 != count || !read_tsig(bytes, owner, fixed, at, length, request.tsig)) return false;
        }
        at += length;
    }
    return at == bytes.size();
}

} // namespace

void read_request(Bytes bytes, Request& request) noexcept {
    request.drop = false;
    request.rcode = Rcode::NoError;
    request.question_size = 0;
    request.name_size = 0;
    request.label_count = 0;
    request.edns = {};
    request.tsig.present = false;
    // Answering a response would let two servers talk for ever.
    if (bytes.size() < header_size || (bytes[2] & 0x80) != 0) {
        request.drop = true;
        return;
    }
    request.id = get16(bytes.data());
    request.flags = get16(&bytes[2]);
    if ((request.flags & mask_opcode) != 0) {
        request.rcode = Rcode::NotImp;
        return;
    }
    const std::size_t questions = get16(&bytes[4]);
    const std::size_t answers = get16(&bytes[6]);
    const std::size_t authority = get16(&bytes[8]);
    // RFC 9619: exactly one question. Only an IXFR query has anything before the additional section (RFC
    // 1995).
    request.rcode = Rcode::FormErr;
    if (questions != 1 || !read_question(bytes, request)) return;
    if (answers != 0 || (authority != 0 && request.qtype != type::IXFR)) return;
    std::size_t at = header_size + request.question_size;
    if (!skip_records(bytes, at, authority) || !read_additional(bytes, at, get16(&bytes[10]), request)) {
        request.edns.present = false;
        request.tsig.present = false;
        return;
    }
    request.rcode = Rcode::NoError;
    if (request.edns.version != 0) request.rcode = Rcode::BadVers;
}

} // namespace p2prc::edge::dns

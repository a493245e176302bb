#include "edge/dns/record.h"

#include "edge/dns/constants.h"
#include "edge/dns/rdata.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <ldns/ldns.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <memory>
#include <optional>

namespace p2prc::edge::dns {
namespace {

// A zone file without $TTL and without TTLs in its lines.
constexpr std::uint32_t unstated_ttl = 300;

struct FreeLdns {
    void operator()(ldns_rr* rr) const { ldns_rr_free(rr); }
    void operator()(ldns_rdf* rdf) const { ldns_rdf_deep_free(rdf); }
    void operator()(ldns_buffer* buffer) const { ldns_buffer_free(buffer); }
    void operator()(std::FILE* file) const { std::fclose(file); }
};
template <class T>
using Owned = std::unique_ptr<T, FreeLdns>;

Result<Record> from_ldns(const ldns_rr& rr, std::string where) {
    const auto bad = [&](std::string why, std::string hint = {}) {
        return fail(ErrorCode::InvalidSpec, where + ": " + std::move(why), std::move(hint));
    };
    Record record;
    record.where = where;
    const ldns_rdf* owner = ldns_rr_owner(&rr);
    record.owner = lower({reinterpret_cast<const char*>(ldns_rdf_data(owner)), ldns_rdf_size(owner)});
    if (name_length(record.owner) != record.owner.size()) return bad("the owner is not a valid name");
    record.type = static_cast<std::uint16_t>(ldns_rr_get_type(&rr));
    record.ttl = ldns_rr_ttl(&rr);
    if (ldns_rr_get_class(&rr) != LDNS_RR_CLASS_IN)
        return bad("only class IN is served", "leave the class out");
    if (record.ttl > 0x7fffffff) return bad("the TTL is above 2147483647"); // RFC 2181 section 8
    const Owned<ldns_buffer> wire(ldns_buffer_new(LDNS_MAX_PACKETLEN));
    if (!wire || ldns_rr_rdata2buffer_wire(wire.get(), &rr) != LDNS_STATUS_OK)
        return bad("the data is too long");
    record.rdata.assign(reinterpret_cast<const char*>(ldns_buffer_begin(wire.get())),
                        ldns_buffer_position(wire.get()));
    return record;
}

Result<void> check(const Record& record) {
    auto good = check_type(record.type);
    if (good) good = check_rdata(record.type, record.rdata);
    if (good) return {};
    Error error = std::move(good.error());
    error.message = fmt::format("{}: {} record of '{}': {}", record.where, type_name(record.type),
                                name_to_text(record.owner), error.message);
    return std::unexpected(std::move(error));
}

// One character of a string, its escape resolved (RFC 1035 section 5.1); nothing when the escape is bad.
std::optional<char> take_character(std::string_view& text) {
    const char c = text[0];
    text.remove_prefix(1);
    if (c != '\\') return c;
    if (text.empty()) return std::nullopt;
    const auto digit = [&](std::size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
    if (digit(0) && digit(1) && digit(2)) {
        const int value = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
        text.remove_prefix(3);
        if (value > 255) return std::nullopt;
        return static_cast<char>(value);
    }
    if (digit(0)) return std::nullopt;
    const char escaped = text[0];
    text.remove_prefix(1);
    return escaped;
}

// TXT data is what members of a fleet may write (challenges), so it is read here rather than by ldns.
std::optional<std::string> text_rdata(std::string_view text) {
    std::string rdata;
    for (;;) {
        while (!text.empty() && (text[0] == ' ' || text[0] == '\t'))
            text.remove_prefix(1);
        if (text.empty()) break;
        const bool quoted = text[0] == '"';
        if (quoted) text.remove_prefix(1);
        std::string string;
        bool closed = !quoted;
        while (!text.empty()) {
            if (quoted && text[0] == '"') {
                text.remove_prefix(1);
                closed = true;
                break;
            }
            if (!quoted && (text[0] == ' ' || text[0] == '\t')) break;
            const auto c = take_character(text);
            if (!c) return std::nullopt;
            string.push_back(*c);
        }
        if (!closed || string.size() > 255) return std::nullopt;
        rdata.push_back(static_cast<char>(string.size()));
        rdata += string;
    }
    if (rdata.empty()) return std::nullopt;
    return rdata;
}

std::optional<std::string> address_rdata(int family, const std::string& text) {
    std::string rdata(family == AF_INET ? 4 : 16, '\0');
    if (inet_pton(family, text.c_str(), rdata.data()) != 1) return std::nullopt;
    return rdata;
}

} // namespace

Result<std::vector<Record>> parse_master_file(const std::string& text, const std::string& file,
                                              const Name& origin) {
    std::vector<Record> records;
    if (text.empty()) return records;
    if (text.find('\0') != std::string::npos)
        return fail(ErrorCode::InvalidSpec, file + ": there is a zero byte in it",
                    "give an RFC 1035 master file");
    // ldns only reads from the stream; fmemopen wants a pointer to what it could write.
    const Owned<std::FILE> stream(fmemopen(const_cast<char*>(text.data()), text.size(), "r"));
    if (!stream) return fail(ErrorCode::Failed, file + ": no memory to read it");
    ldns_rdf* origin_rdf = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, origin.size(), origin.data());
    ldns_rdf* previous = nullptr;
    std::uint32_t ttl = unstated_ttl;
    int line = 0;
    Result<void> good;
    while (good && !std::feof(stream.get())) {
        ldns_rr* rr = nullptr;
        const ldns_status status =
            ldns_rr_new_frm_fp_l(&rr, stream.get(), &ttl, &origin_rdf, &previous, &line);
        const Owned<ldns_rr> owned(rr);
        std::string where = fmt::format("{}:{}", file, line);
        if (status == LDNS_STATUS_SYNTAX_TTL || status == LDNS_STATUS_SYNTAX_ORIGIN ||
            status == LDNS_STATUS_SYNTAX_EMPTY)
            continue;
        if (status == LDNS_STATUS_SYNTAX_INCLUDE) {
            good = fail(ErrorCode::NotSupported, where + ": $INCLUDE is not in this version",
                        "put the records into this file");
        } else if (status != LDNS_STATUS_OK) {
            good = fail(ErrorCode::InvalidSpec, where + ": " + ldns_get_errorstr_by_id(status),
                        "write NAME [TTL] [IN] TYPE DATA");
        } else {
            Result<Record> record = from_ldns(*rr, std::move(where));
            good = record ? check(*record) : std::unexpected(std::move(record.error()));
            if (good) records.push_back(std::move(*record));
        }
    }
    ldns_rdf_deep_free(origin_rdf);
    ldns_rdf_deep_free(previous);
    if (!good) return std::unexpected(std::move(good.error()));
    return records;
}

Result<Record> parse_record(const ZoneRecord& source) {
    const std::string where = fmt::format("record {} {}", source.name, source.type);
    const auto bad = [&](std::string_view why) {
        return fail(ErrorCode::InvalidSpec, fmt::format("{}: {}: '{}'", where, why, source.data),
                    "write the data as in a zone file");
    };
    const auto owner = name_from_text(source.name);
    if (!owner) return std::unexpected(owner.error());
    if (std::ranges::any_of(source.data, [](unsigned char c) { return c < 0x20 && c != '\t'; }))
        return bad("there is a control character in the data");
    if (!std::ranges::all_of(source.type, [](unsigned char c) { return std::isalnum(c) != 0; }))
        return bad("the type is not a word");
    if (source.ttl > 0x7fffffff) return bad("the TTL is above 2147483647");
    Record record{lower(*owner), 0, source.ttl, {}, where};
    std::optional<std::string> rdata;
    if (source.type == "TXT") {
        record.type = type::TXT;
        rdata = text_rdata(source.data);
        if (!rdata) return bad("the data is not a list of strings of at most 255 bytes");
    } else if (source.type == "A" || source.type == "AAAA") {
        record.type = source.type == "A" ? type::A : type::AAAA;
        rdata = address_rdata(source.type == "A" ? AF_INET : AF_INET6, source.data);
        if (!rdata) return bad("the data is not an address");
    } else {
        const std::string line = fmt::format(". {} IN {} {}", source.ttl, source.type, source.data);
        ldns_rr* rr = nullptr;
        const ldns_status status = ldns_rr_new_frm_str(&rr, line.c_str(), source.ttl, nullptr, nullptr);
        const Owned<ldns_rr> owned(rr);
        if (status != LDNS_STATUS_OK) return bad(ldns_get_errorstr_by_id(status));
        auto parsed = from_ldns(*rr, where);
        if (!parsed) return parsed;
        record.type = parsed->type;
        rdata = std::move(parsed->rdata);
    }
    record.rdata = std::move(*rdata);
    if (auto good = check(record); !good) return std::unexpected(std::move(good.error()));
    return record;
}

} // namespace p2prc::edge::dns

#include "message.h"

#include "edge/dns/zone.h"

#include <algorithm>
#include <stdexcept>

namespace p2prc::edge::dns::testing {
namespace {

void put(Wire& to, unsigned value) {
    to.push_back(static_cast<std::uint8_t>(value >> 8));
    to.push_back(static_cast<std::uint8_t>(value));
}

class Reader {
  public:
    explicit Reader(const Wire& bytes) : bytes_(bytes) {}
    std::size_t at = 0;

    unsigned u8() {
        if (at >= bytes_.size()) throw std::runtime_error("message is cut short");
        return bytes_[at++];
    }
    unsigned u16() {
        const unsigned high = u8();
        return high << 8 | u8();
    }
    std::string name() {
        std::string text;
        std::size_t back = 0;
        for (std::size_t from = at;;) {
            if (from >= bytes_.size()) throw std::runtime_error("name is cut short");
            const unsigned length = bytes_[from];
            if (length >= 0xc0) {
                const std::size_t target = (length & 0x3f) << 8 | bytes_.at(from + 1);
                if (target >= from) throw std::runtime_error("pointer does not lead back");
                if (back == 0) back = from + 2;
                from = target;
                continue;
            }
            ++from;
            if (length == 0) {
                at = back != 0 ? back : from;
                return text.empty() ? "." : text;
            }
            if (!text.empty()) text += '.';
            for (unsigned i = 0; i < length; ++i)
                text += static_cast<char>(bytes_.at(from++));
        }
    }
    bool done() const { return at == bytes_.size(); }

  private:
    const Wire& bytes_;
};

} // namespace

Wire wire_name(const std::string& text) {
    Wire wire;
    std::string label;
    for (const char c : text + ".")
        if (c != '.') {
            label += c;
        } else if (!label.empty()) {
            wire.push_back(static_cast<std::uint8_t>(label.size()));
            wire.insert(wire.end(), label.begin(), label.end());
            label.clear();
        }
    wire.push_back(0);
    return wire;
}

Wire make_query(const Query& query) {
    Wire wire;
    put(wire, query.id);
    put(wire, query.flags);
    put(wire, 1);
    put(wire, 0);
    put(wire, 0);
    put(wire, query.edns ? 1 : 0);
    const Wire name = wire_name(query.name);
    wire.insert(wire.end(), name.begin(), name.end());
    put(wire, query.type);
    put(wire, query.qclass);
    if (query.edns) {
        wire.push_back(0);
        put(wire, type::OPT);
        put(wire, query.edns->size);
        wire.push_back(0);
        wire.push_back(query.edns->version);
        put(wire, query.edns->flags);
        put(wire, static_cast<unsigned>(query.edns->options.size()));
        wire.insert(wire.end(), query.edns->options.begin(), query.edns->options.end());
    }
    return wire;
}

int Message::rcode() const {
    const ResourceRecord* record = opt();
    return (flags & 0xf) | (record != nullptr ? static_cast<int>(record->ttl >> 24) << 4 : 0);
}

const ResourceRecord* Message::opt() const {
    const auto found = std::ranges::find(sections[2], type::OPT, &ResourceRecord::type);
    return found == sections[2].end() ? nullptr : &*found;
}

std::vector<std::string> Message::texts(int section) const {
    std::vector<std::string> all;
    for (const ResourceRecord& record : sections[section])
        if (record.type != type::OPT)
            all.push_back(record.owner + " " + std::to_string(record.type) +
                          (record.name.empty() ? "" : " " + record.name));
    std::ranges::sort(all);
    return all;
}

Message read_message(const Wire& bytes) {
    Reader reader(bytes);
    Message message;
    message.size = bytes.size();
    message.id = static_cast<std::uint16_t>(reader.u16());
    message.flags = static_cast<std::uint16_t>(reader.u16());
    const unsigned questions = reader.u16();
    unsigned counts[3];
    for (unsigned& count : counts)
        count = reader.u16();
    if (questions > 1) throw std::runtime_error("more than one question");
    if (questions == 1) {
        message.qname = reader.name();
        message.qtype = static_cast<std::uint16_t>(reader.u16());
        reader.u16();
    }
    for (int section = 0; section < 3; ++section)
        for (unsigned i = 0; i < counts[section]; ++i) {
            ResourceRecord record;
            record.owner = reader.name();
            record.type = static_cast<std::uint16_t>(reader.u16());
            record.rclass = static_cast<std::uint16_t>(reader.u16());
            record.ttl = reader.u16() << 16;
            record.ttl |= reader.u16();
            const unsigned length = reader.u16();
            const std::size_t end = reader.at + length;
            if (end > bytes.size()) throw std::runtime_error("data is cut short");
            record.rdata.assign(bytes.begin() + static_cast<std::ptrdiff_t>(reader.at),
                                bytes.begin() + static_cast<std::ptrdiff_t>(end));
            if (record.type == type::MX) reader.u16();
            if (record.type == type::NS || record.type == type::CNAME || record.type == type::SOA ||
                record.type == type::PTR || record.type == type::MX)
                record.name = reader.name();
            reader.at = end;
            message.sections[section].push_back(std::move(record));
        }
    if (!reader.done()) throw std::runtime_error("trailing bytes");
    return message;
}

std::shared_ptr<const Snapshot> snapshot_of(const RouteTable& table) {
    auto zones = compile_zones(table);
    if (!zones) throw std::runtime_error(zones.error().message);
    return Snapshot::build(*zones);
}

std::shared_ptr<const Snapshot> snapshot_of(const std::string& zone, const std::string& text) {
    RouteTable table;
    table.zones.push_back({zone, {}, text, "test.zone", {}});
    return snapshot_of(table);
}

Wire answer_bytes(const Snapshot& snapshot, const Wire& request, Transport transport) {
    static Request scratch;
    Wire out(answer_limit(transport));
    out.resize(answer(request, snapshot, transport, scratch, out).size);
    return out;
}

Message ask(const Snapshot& snapshot, const Query& query, Transport transport) {
    return read_message(answer_bytes(snapshot, make_query(query), transport));
}

} // namespace p2prc::edge::dns::testing

#include "edge/dns/constants.h"
#include "edge/dns/name_hash.h"
#include "edge/dns/snapshot.h"
#include "edge/dns/wire.h"

#include <algorithm>
#include <set>

namespace p2prc::edge::dns {
namespace {

// Longer chains of CNAMEs are answered as far as this; the resolver asks for the rest (RFC 1034 section 5.2.2
// warns of loops, and sets no number).
constexpr std::size_t longest_chain = 16;

const RRsets no_sets;

// RFC 2308 section 3: the SOA of a negative answer lives no longer than its MINIMUM, nor than the SOA itself.
std::uint32_t negative_ttl(const RRset& soa) {
    const std::string& rdata = soa.rdata.front();
    return std::min(soa.ttl, get32(reinterpret_cast<const std::uint8_t*>(rdata.data()) + rdata.size() - 4));
}

} // namespace

// Packs zones in two passes: first the tree of names that exist, then an answer for each name and type.
class SnapshotBuilder {
  public:
    explicit SnapshotBuilder(std::span<const ZoneData> zones) : zones_(zones) {}

    std::shared_ptr<const Snapshot> run() {
        for (std::size_t i = 0; i < zones_.size(); ++i)
            add_names(i);
        index();
        for (std::size_t i = 0; i < zones_.size(); ++i)
            pack_negatives(i);
        for (std::uint32_t i = 0; i < sources_.size(); ++i)
            pack_node(i);
        return std::move(snapshot_);
    }

  private:
    using Node = Snapshot::Node;
    static constexpr std::uint32_t none = Snapshot::none;

    // What a node was made from.
    struct Source {
        Name name;
        const RRsets* sets = &no_sets;
        std::size_t zone = 0;
    };

    bool is_apex(std::uint32_t node) const { return sources_[node].name == zones_[sources_[node].zone].apex; }

    // The deepest other zone that holds `apex` strictly below its own.
    const ZoneData* parent_zone(std::string_view apex) const {
        const ZoneData* best = nullptr;
        for (const ZoneData& zone : zones_)
            if (zone.apex.size() < apex.size() && is_at_or_below(apex, zone.apex) &&
                (best == nullptr || zone.apex.size() > best->apex.size()))
                best = &zone;
        return best;
    }

    // Whether `name` of `zone` is hidden: below a delegation, or at or below the apex of a zone served here
    // as well.
    bool occluded(std::string_view name, const ZoneData& zone) const {
        bool first = true;
        for (std::string_view at = name; at != zone.apex; at = parent(at)) {
            if (apexes_.contains(at)) return true;
            if (const RRsets* sets = zone.find(at); !first && sets != nullptr && sets->contains(type::NS))
                return true;
            first = false;
        }
        return false;
    }

    void add_names(std::size_t zone_index) {
        const ZoneData& zone = zones_[zone_index];
        if (apexes_.empty())
            for (const ZoneData& each : zones_)
                apexes_.insert(each.apex);
        for (const auto& [name, sets] : zone.names)
            if (!occluded(name, zone)) add_name(name, &sets, zone_index);
        // The way down to a zone served here exists too, delegated or not (RFC 8020).
        for (const ZoneData& child : zones_)
            if (parent_zone(child.apex) == &zone && !occluded(parent(child.apex), zone))
                add_name(Name(parent(child.apex)), nullptr, zone_index);
    }

    // Adds the name and the empty non-terminals above it.
    void add_name(std::string_view name, const RRsets* sets, std::size_t zone) {
        for (std::string_view at = name;; at = parent(at)) {
            const auto [found, fresh] =
                by_name_.try_emplace(Name(at), static_cast<std::uint32_t>(sources_.size()));
            if (fresh) sources_.push_back({Name(at), &no_sets, zone});
            if (at.size() == name.size() && sets != nullptr) sources_[found->second].sets = sets;
            if (at == zones_[zone].apex || (!fresh && at.size() != name.size())) return;
        }
    }

    void index() {
        snapshot_->nodes_.resize(sources_.size());
        std::size_t slots = 2;
        while (slots < sources_.size() * 2)
            slots *= 2;
        snapshot_->slots_.resize(slots);
        for (std::uint32_t i = 0; i < sources_.size(); ++i) {
            const Source& source = sources_[i];
            Node& node = snapshot_->nodes_[i];
            node.name = static_cast<std::uint32_t>(snapshot_->names_.size());
            node.name_size = static_cast<std::uint8_t>(source.name.size());
            node.zone = static_cast<std::uint16_t>(source.zone);
            node.cut = source.sets->contains(type::NS) && !is_apex(i);
            if (const auto wildcard = by_name_.find("\1*" + source.name);
                wildcard != by_name_.end() && !node.cut)
                node.wildcard = wildcard->second;
            snapshot_->names_ += source.name;
            const std::uint32_t hash = hash_of(source.name);
            std::size_t at = hash & (slots - 1);
            while (snapshot_->slots_[at].node != none)
                at = (at + 1) & (slots - 1);
            snapshot_->slots_[at] = {hash, i};
        }
    }

    static std::uint32_t hash_of(std::string_view name) {
        if (name[0] == 0) return root_hash;
        return label_hash(hash_of(parent(name)), name.substr(0, 1 + static_cast<std::uint8_t>(name[0])));
    }

    struct Place {
        std::uint32_t node = none; // the name itself, or its closest encloser
        bool exact = false;
    };
    Place locate(std::string_view name) const {
        for (std::string_view at = name; at[0] != 0; at = parent(at))
            if (const auto found = by_name_.find(at); found != by_name_.end())
                return {found->second, at.size() == name.size()};
        return {};
    }

    void add_soa(Packer& packer, const ZoneData& zone) const {
        const RRset& soa = zone.names.at(zone.apex).at(type::SOA);
        packer.add(Section::Authority, zone.apex, type::SOA, soa, true, negative_ttl(soa));
    }

    // RFC 9471: glue inside the delegated domain is required, other addresses are a help.
    void add_referral(Packer& packer, std::uint32_t cut) const {
        const Source& source = sources_[cut];
        const ZoneData& zone = zones_[source.zone];
        const RRset& ns = source.sets->at(type::NS);
        packer.add(Section::Authority, source.name, type::NS, ns, true);
        for (const bool inside : {true, false})
            for (const std::string& target : ns.rdata) {
                const Name name = lower(target);
                const RRsets* sets = zone.find(name);
                if (sets == nullptr || is_at_or_below(name, source.name) != inside) continue;
                for (const std::uint16_t address : {type::A, type::AAAA})
                    if (const auto set = sets->find(address); set != sets->end())
                        packer.add(Section::Additional, name, address, set->second, inside);
            }
    }

    // The data that answers `qtype` at `node`: DS at a child's apex is its parent's.
    const ZoneData& zone_for(std::uint32_t node, std::uint16_t qtype) const {
        const ZoneData& own = zones_[sources_[node].zone];
        if (qtype != type::DS || !is_apex(node)) return own;
        const ZoneData* above = parent_zone(own.apex);
        return above != nullptr ? *above : own;
    }

    // Packs the answer to (`node`, `qtype`), CNAMEs followed. `name` is the QNAME it is packed for: the
    // node's, or for a wildcard its parent's, every QNAME below which it answers. qtype 0 stands for a type
    // that is nowhere.
    std::uint32_t pack(std::uint32_t node, std::uint16_t qtype, std::string_view name) {
        Packer packer(name);
        Rcode rcode = Rcode::NoError;
        bool authoritative = true;
        std::optional<Name> owner; // nothing: the QNAME
        std::set<Name> seen{sources_[node].name};
        for (;;) {
            if (snapshot_->nodes_[node].cut && qtype != type::DS) {
                add_referral(packer, node);
                // AA speaks of the first owner name in the answer (RFC 1035 section 4.1.1).
                authoritative = owner.has_value();
                break;
            }
            const ZoneData& zone = zone_for(node, qtype);
            const RRsets* found =
                &zone == &zones_[sources_[node].zone] ? sources_[node].sets : zone.find(sources_[node].name);
            const RRsets& sets = found != nullptr ? *found : no_sets;
            if (const auto set = sets.find(qtype); set != sets.end()) {
                packer.add(Section::Answer, owner, qtype, set->second, true);
                break;
            }
            const auto cname = sets.find(type::CNAME);
            if (cname == sets.end()) {
                add_soa(packer, zone);
                break;
            }
            packer.add(Section::Answer, owner, type::CNAME, cname->second, true);
            Name target = lower(cname->second.rdata.front());
            const Place place = locate(target);
            if (place.node == none || !seen.insert(target).second || seen.size() > longest_chain) break;
            owner = std::move(target);
            node = place.node;
            if (place.exact) continue;
            if (snapshot_->nodes_[node].cut) {
                add_referral(packer, node);
                break;
            }
            if (snapshot_->nodes_[node].wildcard == none) {
                rcode = Rcode::NxDomain; // of the last name (RFC 6604 section 3)
                add_soa(packer, zones_[sources_[node].zone]);
                break;
            }
            node = snapshot_->nodes_[node].wildcard;
        }
        return store(packer, name, authoritative, rcode);
    }

    std::uint32_t store(const Packer& packer, std::string_view name, bool authoritative, Rcode rcode) {
        Snapshot& to = *snapshot_;
        Packed packed;
        packed.bytes = static_cast<std::uint32_t>(to.bytes_.size());
        packed.size = static_cast<std::uint32_t>(packer.bytes().size());
        packed.pointers = static_cast<std::uint32_t>(to.pointers_.size());
        packed.ends = static_cast<std::uint32_t>(to.ends_.size());
        packed.name_size = static_cast<std::uint16_t>(name.size());
        packed.flags =
            static_cast<std::uint16_t>((authoritative ? flag_aa : 0) | static_cast<unsigned>(rcode));
        to.bytes_.insert(to.bytes_.end(), packer.bytes().begin(), packer.bytes().end());
        // What lies beyond 64 KiB is never sent.
        for (const std::uint32_t pointer : packer.pointers())
            if (pointer < tcp_limit) to.pointers_.push_back(static_cast<std::uint16_t>(pointer));
        packed.pointer_count = static_cast<std::uint16_t>(to.pointers_.size() - packed.pointers);
        for (const RRsetEnd& end : packer.ends()) {
            to.ends_.push_back(end);
            std::uint16_t& count = packed.counts[static_cast<std::size_t>(end.section)];
            count = static_cast<std::uint16_t>(count + end.records);
        }
        packed.end_count = static_cast<std::uint16_t>(to.ends_.size() - packed.ends);
        to.packed_.push_back(packed);
        return static_cast<std::uint32_t>(to.packed_.size() - 1);
    }

    void pack_negatives(std::size_t zone_index) {
        const ZoneData& zone = zones_[zone_index];
        Packer packer(zone.apex);
        add_soa(packer, zone);
        nodata_.push_back(store(packer, zone.apex, true, Rcode::NoError));
        snapshot_->nxdomain_.push_back(store(packer, zone.apex, true, Rcode::NxDomain));
    }

    // The types that an answer at `node` may hold, at the end of its CNAMEs.
    std::set<std::uint16_t> types_of(std::uint32_t node) const {
        std::set<std::uint16_t> types;
        for (std::size_t hops = 0; hops <= longest_chain; ++hops) {
            const RRsets& sets = *sources_[node].sets;
            // A cut and an apex have an answer to DS whether or not there is one.
            if (snapshot_->nodes_[node].cut || is_apex(node)) types.insert(type::DS);
            if (snapshot_->nodes_[node].cut) break;
            for (const auto& [type, set] : sets)
                types.insert(type);
            const auto cname = sets.find(type::CNAME);
            if (cname == sets.end()) break;
            const Place place = locate(lower(cname->second.rdata.front()));
            if (place.node == none) break;
            node = place.node;
            if (place.exact) continue;
            if (snapshot_->nodes_[node].cut || snapshot_->nodes_[node].wildcard == none) break;
            node = snapshot_->nodes_[node].wildcard;
        }
        return types;
    }

    void pack_node(std::uint32_t index) {
        const Source& source = sources_[index];
        const std::string_view name =
            is_wildcard(source.name) ? parent(source.name) : std::string_view(source.name);
        const RRsets& sets = *source.sets;
        const bool cut = snapshot_->nodes_[index].cut;
        const auto first = static_cast<std::uint32_t>(snapshot_->typed_.size());
        for (const std::uint16_t type : types_of(index))
            snapshot_->typed_.push_back({type, pack(index, type, name)});
        if (!cut && !sets.empty()) {
            // RFC 8482 section 4.1: one RRset answers ANY.
            const std::uint16_t chosen = sets.begin()->first;
            snapshot_->typed_.push_back({type::ANY, pack(index, chosen, name)});
        }
        Node& node = snapshot_->nodes_[index];
        node.first_typed = first;
        node.typed_count = static_cast<std::uint16_t>(snapshot_->typed_.size() - first);
        node.fallback = cut || sets.contains(type::CNAME) ? pack(index, 0, name) : nodata_[source.zone];
    }

    std::span<const ZoneData> zones_;
    std::shared_ptr<Snapshot> snapshot_ = std::make_shared<Snapshot>();
    std::vector<Source> sources_;
    std::map<Name, std::uint32_t, std::less<>> by_name_;
    std::set<Name, std::less<>> apexes_;
    std::vector<std::uint32_t> nodata_; // by zone
};

std::shared_ptr<const Snapshot> Snapshot::build(std::span<const ZoneData> zones) {
    return SnapshotBuilder(zones).run();
}

} // namespace p2prc::edge::dns

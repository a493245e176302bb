#include "daemon/api/concerned.h"

#include "core/json_members.h"

namespace p2prc::daemon {
namespace {

using keys::Part;
using Ids = std::set<std::string>;

bool is_down(const std::optional<Json>& edge) {
    return edge && !json::member<bool>(*edge, "up");
}

class Finder {
  public:
    Finder(const View& view, const keys::Key& key, const state::Change& change)
        : agreed_(view.replica().records())
        , key_(key)
        , change_(change) {}

    Ids processes() {
        switch (key_.family->subject()) {
        case Part::Id:
            ids_.insert(std::string(key_.subject()));
            break;
        case Part::Process:
            add_process(key_.subject());
            for_both([this](const Json& document) {
                ids_.insert(std::to_string(json::member<std::uint32_t>(document, "id")));
            });
            break;
        case Part::Domain:
            if (const auto* mapping = agreed_.domain(key_.subject())) add_process(mapping->record.process);
            // It may have led to another one before.
            for_both([this](const Json& document) {
                add_process(json::member<std::string>(document, "process"));
            });
            break;
        case Part::Node:
            for (const auto name : agreed_.processes_on(key_.subject()))
                add_process(name);
            break;
        case Part::Digest:
        case Part::Owner:
        case Part::None:
            break;
        }
        return std::move(ids_);
    }

    Ids domains() {
        switch (key_.family->subject()) {
        case Part::Id:
            if (const auto* process = agreed_.process(key_.id())) add_domains_of(process->record.name);
            break;
        case Part::Process:
            add_domains_of(key_.subject());
            break;
        case Part::Domain:
            ids_.insert(std::string(key_.subject()));
            break;
        case Part::Node:
            for (const auto fqdn : agreed_.domains_on(key_.subject()))
                ids_.emplace(fqdn);
            for (const auto name : agreed_.processes_on(key_.subject()))
                add_domains_of(name);
            break;
        case Part::Digest:
        case Part::Owner:
        case Part::None:
            break;
        }
        return std::move(ids_);
    }

  private:
    void add_process(std::string_view name) {
        if (const auto* process = agreed_.process(name)) ids_.insert(std::to_string(process->record.id));
    }
    void add_domains_of(std::string_view process) {
        for (const auto fqdn : agreed_.domains_of(process))
            ids_.emplace(fqdn);
    }
    template <class Use>
    void for_both(Use use) const {
        if (change_.before) use(*change_.before);
        if (change_.value) use(*change_.value);
    }

    const state::FleetState& agreed_;
    const keys::Key& key_;
    const state::Change& change_;
    Ids ids_;
};

} // namespace

std::optional<std::set<std::string>> concerned(const View& view, unsigned objects,
                                               const state::Change& change) {
    const auto* family = keys::family_of(change.key);
    if (family && !(family->announces & objects)) return Ids();
    const auto key = keys::parse(change.key);
    if (!key || family->part_count() == 0) return std::nullopt;
    // The visitors of all domains come through the fleet's edge; while it is up, no more is said of them.
    if (objects == keys::domain_objects && family->prefix == keys::edges)
        return is_down(change.before) == is_down(change.value) ? std::optional(Ids()) : std::nullopt;
    if (objects == keys::node_objects) {
        if (key->node().empty()) return std::nullopt;
        return Ids{std::string(key->node())};
    }
    Finder finder(view, *key, change);
    return objects == keys::process_objects ? finder.processes() : finder.domains();
}

} // namespace p2prc::daemon

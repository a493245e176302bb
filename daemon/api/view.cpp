#include "daemon/api/view.h"

#include "core/gate.h"
#include "core/json_members.h"
#include "core/names.h"
#include "daemon/api/local_action.h"
#include "net/clock.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace p2prc::daemon {

namespace {

template <class Record, class Read>
std::vector<Record> read_all(const State& state, std::string_view prefix, Read read) {
    std::vector<Record> records;
    for (const auto& [key, document] : state.range(prefix))
        if (auto record = read(key, *document)) records.push_back(std::move(*record));
    return records;
}

template <class Record, class Read>
std::optional<Record> read_one(const State& state, const std::string& key, Read read) {
    const Json* document = state.get(key);
    if (!document) return std::nullopt;
    auto record = read(key, *document);
    if (!record) return std::nullopt;
    return std::move(*record);
}

// One that this node does not accept is listed all the same: its status says why it does not run.
Result<ProcessRecord> as_it_is(std::string_view, const Json& document) {
    return process_from_json(document);
}

std::optional<std::uint32_t> read_number(std::string_view text) {
    std::uint32_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stop != end) return std::nullopt;
    return number;
}

} // namespace

std::string edge_key(const std::string& node) {
    return "/edge/" + node;
}

std::optional<ProcessRecord> offered_process(const Json& offer) {
    if (!offer.is_object()) return std::nullopt;
    const auto process = offer.find("process");
    if (process == offer.end()) return std::nullopt;
    auto record = process_from_json(*process);
    if (!record) return std::nullopt;
    return std::move(*record);
}

View::View(State& replica, State& own, std::function<std::string()> node, std::function<bool()> reachable)
    : replica_(&replica)
    , own_(&own)
    , node_(std::move(node))
    , reachable_(std::move(reachable)) {}

const Json* View::get(const std::string& key) const {
    constexpr std::array<std::string_view, 7> owned{"/status/",  "/info/", "/certificates/", "/serving/",
                                                    "/tunnels/", "/edge/", "/local/"};
    const std::string name = node();
    for (const std::string_view prefix : owned)
        if (key.starts_with(prefix)) {
            const std::string_view rest = std::string_view(key).substr(prefix.size());
            if (rest.substr(0, rest.find('/')) == name) return own_->get(key);
        }
    return replica_->get(key);
}

std::optional<FleetRecord> View::fleet() const {
    return read_one<FleetRecord>(
        *replica_, std::string(keys::fleet),
        [](std::string_view, const Json& document) { return fleet_from_json(document); });
}

std::vector<NodeRecord> View::nodes() const {
    return read_all<NodeRecord>(*replica_, "/nodes/", accept_node);
}

std::optional<NodeRecord> View::node_record(const std::string& name) const {
    return read_one<NodeRecord>(*replica_, keys::node(name), accept_node);
}

std::vector<ProcessRecord> View::processes() const {
    auto records = read_all<ProcessRecord>(*replica_, "/processes/", as_it_is);
    std::erase_if(records, [this](const ProcessRecord& record) { return killed_here(record); });
    return records;
}

std::vector<DomainRecord> View::domains() const {
    return read_all<DomainRecord>(*replica_, "/domains/", accept_domain);
}

std::optional<ProcessRecord> View::process(const std::string& name) const {
    auto record = read_one<ProcessRecord>(*replica_, keys::process(name), as_it_is);
    if (record && killed_here(*record)) return std::nullopt;
    return record;
}

std::optional<ProcessRecord> View::process_with_id(std::string_view text) const {
    const auto id = read_number(text);
    if (!id) return std::nullopt;
    for (const auto& [key, document] : replica_->range("/processes/"))
        if (json::member<std::uint32_t>(*document, "id") == *id)
            return process(std::string(key.substr(key.rfind('/') + 1)));
    return std::nullopt;
}

std::optional<DomainRecord> View::domain(const std::string& fqdn) const {
    return read_one<DomainRecord>(*replica_, keys::domain(fqdn), accept_domain);
}

std::optional<ProcessRecord> View::offered(const std::string& id) const {
    for (const auto& [key, document] : replica_->range("/offers/"))
        if (key.substr(key.rfind('/') + 1) == id)
            if (auto record = offered_process(*document)) return record;
    return std::nullopt;
}

Result<ProcessRecord> View::find_process(const std::string& text) const {
    const auto missing = fail(ErrorCode::NotFound, "there is no process '" + text + "'",
                              "'p2prc ps' lists all processes; give an id, a name or a domain");
    if (read_number(text)) {
        if (auto record = process_with_id(text)) return std::move(*record);
        return missing;
    }
    if (auto record = process(text)) return std::move(*record);
    const auto fqdn = normalize_domain(text);
    if (!fqdn) return missing;
    const auto mapping = domain(*fqdn);
    if (!mapping) return missing;
    if (auto record = process(mapping->process)) return std::move(*record);
    return fail(ErrorCode::NotFound,
                "the domain '" + *fqdn + "' is mapped to '" + mapping->process + "', which does not exist",
                "spin '" + mapping->process + "', or map the domain to another process");
}

std::string View::live(const std::string& name) const {
    if (name == node()) return "up";
    const Json* document = replica_->get(keys::live(name));
    return document ? json::member<std::string>(*document, "state", "lost") : "lost";
}

std::string View::live_since(const std::string& name) const {
    const Json* document = replica_->get(keys::live(name));
    return document ? json::member<std::string>(*document, "since") : "";
}

std::string View::last_heard(const std::string& name) const {
    if (name == node()) return net::now_rfc3339();
    // The root hears of a node that is up every few seconds, and writes down when it does not any more.
    if (live(name) == "up") return !reachable_ || reachable_() ? net::now_rfc3339() : "";
    const Json* document = replica_->get(keys::live(name));
    return document ? json::member<std::string>(*document, "heard") : "";
}

bool View::killed_here(const ProcessRecord& record) const {
    if (record.node != node()) return false;
    const Json* action = own_->get(local_action_key(record.node, record.id));
    return action && json::member<std::string>(*action, "action") == "kill" &&
           json::member<std::uint64_t>(*action, "sequence") > folded_sequence(record);
}

} // namespace p2prc::daemon

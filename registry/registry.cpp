#include "registry/registry.h"

#include "core/text.h"
#include "registry/damaged_rows.h"
#include "registry/invitations.h"
#include "registry/methods.h"
#include "registry/request.h"
#include "store/sqlite.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>

namespace p2prc::registry {
namespace {

Result<void> authorise(const Request& request, const Method& method) {
    const auto& actor = request.actor;
    switch (method.access) {
    case Access::Guest:
        // The link of a join proves the key that the request names; a member's link proves its own only.
        if (actor.node.empty() && !actor.local) return {};
        return fail(
            ErrorCode::NotPermitted,
            fmt::format("{} is for a machine that is not in the fleet, with its invitation", method.name),
            "run p2prc join TOKEN on that machine");
    case Access::Local:
        if (actor.local) return {};
        return fail(ErrorCode::NotPermitted, fmt::format("{} is for the root node itself", method.name),
                    "run the command on the root node");
    case Access::Member:
    case Access::Owner:
        break;
    }
    if (!request.draft.node(actor.node))
        return fail(ErrorCode::NotPermitted, fmt::format("node '{}' is not in this fleet", actor.node),
                    "it was removed, or never joined: p2prc join TOKEN");
    if (method.access == Access::Owner && !request.is_owner())
        return fail(
            ErrorCode::NotPermitted,
            fmt::format("node '{}' has the role member; {} needs the role owner", actor.node, method.doing),
            "run the command on a node with the role owner, such as the root");
    return {};
}

struct Loaded {
    Mirror mirror;
    std::vector<DamagedRow> damaged; // rows that are not in `mirror`
};

Result<Loaded> load(store::Store& store) {
    Loaded loaded;
    auto& mirror = loaded.mirror;
    for (const auto& [name, table] :
         {std::pair{replicated_table, &mirror.agreed}, {private_table, &mirror.secrets}}) {
        auto range = store.range(name, "");
        if (!range) return std::unexpected(range.error());
        for (auto& item : range->items) {
            const auto value = Json::parse(item.value, nullptr, false);
            if (!is_readable(name, item.key, value)) {
                loaded.damaged.push_back({std::string(name), std::move(item.key), std::move(item.value)});
                continue;
            }
            const auto size = item.value.size();
            auto shared = state::SharedDocument::of(item.key, std::move(item.value), value);
            if (table == &mirror.agreed) {
                mirror.put_record(item.key, value, shared);
                mirror.shares.count(item.key, &value, size);
            }
            table->insert({std::move(item.key), std::move(shared)});
        }
    }
    return loaded;
}

Result<void> mend(store::Store& store, const RegistryOptions& options, const std::vector<DamagedRow>& rows) {
    if (options.copy) return set_aside_rows(store, options.file, rows, *options.copy);
    return fail(ErrorCode::Failed,
                fmt::format("{} is damaged: the document of {} cannot be read", options.file,
                            text::excerpt(rows.front().key)),
                "put a backup of the file in its place while p2prcd is stopped");
}

// Every id that is known to have been given out.
void note_ids(Draft& draft, const state::FleetState& records) {
    std::uint32_t process = 0, mapping = 0;
    for (const auto& entry : records.processes())
        process = std::max(process, entry->record.id);
    if (!records.tombstones().empty()) process = std::max(process, records.tombstones().rbegin()->first);
    for (const auto& entry : records.domains())
        mapping = std::max(mapping, entry->record.mapping_id);
    draft.seen_process_id(process);
    draft.seen_mapping_id(mapping);
}

// How far ids jump in a store that was restored from a copy of unknown age: nodes may run processes whose ids
// were given out after it was made.
constexpr std::uint32_t restored_gap = 1000;

} // namespace

struct Registry::State {
    RegistryOptions options;
    std::unique_ptr<store::Store> store;
    Mirror mirror;
    std::mutex mutex;

    // Copies for the handshake of a join, which must not wait for the disk.
    mutable std::mutex invitations_mutex;
    std::map<std::string, Invitation, std::less<>> invitations;

    std::int64_t now() const {
        if (options.now) return options.now();
        const auto since = std::chrono::system_clock::now().time_since_epoch();
        return std::chrono::duration_cast<std::chrono::seconds>(since).count();
    }

    Result<void> commit(const Draft& draft) {
        const auto txn = draft.transaction();
        if (txn.then.empty()) return {};
        auto done = store->txn(txn);
        if (!done) return std::unexpected(done.error());
        draft.apply_to(mirror);
        if (draft.writes_secret(keys::invitations)) publish_invitations();
        return {};
    }

    void publish_invitations() {
        const Draft draft(mirror);
        std::map<std::string, Invitation, std::less<>> fresh;
        for (auto& invitation : all_invitations(draft))
            fresh[invitation.id] = invitation;
        const std::lock_guard lock(invitations_mutex);
        invitations.swap(fresh);
    }
};

Registry::Registry(std::unique_ptr<State> state) : state_(std::move(state)) {}
Registry::~Registry() = default;

Result<std::unique_ptr<Registry>> Registry::open(RegistryOptions options) {
    store::SqliteOptions database;
    database.file = options.file;
    database.tables = {{std::string(replicated_table), true}, {std::string(private_table), false}};
    auto store = store::open_sqlite(database);
    if (!store) return std::unexpected(store.error());
    auto loaded = load(**store);
    if (!loaded) return std::unexpected(loaded.error());
    const bool damaged = !loaded->damaged.empty();
    if (damaged) {
        if (const auto mended = mend(**store, options, loaded->damaged); !mended)
            return std::unexpected(mended.error());
        loaded = load(**store);
        if (!loaded) return std::unexpected(loaded.error());
    }
    auto state = std::make_unique<State>();
    state->options = std::move(options);
    state->store = std::move(*store);
    state->mirror = std::move(loaded->mirror);
    Draft draft(state->mirror);
    note_ids(draft, state->mirror.records);
    const bool restored = state->store->origin() == store::Origin::Restored;
    // One that was made anew from a replica has no counters, and nothing tells what it lost.
    if (restored && !damaged && !state->mirror.secrets.empty()) draft.note_lost_mappings(restored_gap);
    // A counter may be among what was damaged, and a record whose id nothing else tells.
    if (restored || damaged) draft.skip_ids(restored_gap);
    if (auto done = state->commit(draft); !done) return std::unexpected(done.error());
    state->publish_invitations();
    return std::unique_ptr<Registry>(new Registry(std::move(state)));
}

Result<Json> Registry::execute(const Actor& actor, std::string_view name, const Json& params) {
    const auto* method = find_method(name);
    if (!method)
        return fail(ErrorCode::NotSupported,
                    fmt::format("the registry knows no request '{}'", text::excerpt(name, 60)),
                    "not in this version: upgrade p2prc on the root node");
    if (!params.is_object())
        return fail(ErrorCode::InvalidSpec, fmt::format("the parameters of {} are not an object", name));
    const std::lock_guard lock(state_->mutex);
    Draft draft(state_->mirror);
    Request request{draft, actor, params, state_->now(), state_->options.sign};
    if (auto allowed = authorise(request, *method); !allowed) return std::unexpected(allowed.error());
    auto result = method->rule(request);
    if (!result || !method->commits) return result;
    if (auto done = state_->commit(draft); !done) return std::unexpected(done.error());
    return result;
}

std::optional<OpenInvitation> Registry::find_invitation(std::string_view id) const {
    const std::lock_guard lock(state_->invitations_mutex);
    const auto it = state_->invitations.find(id);
    if (it == state_->invitations.end() || it->second.expires <= state_->now()) return std::nullopt;
    return OpenInvitation{it->second.secret, it->second.role, it->second.expires};
}

store::Store& Registry::store() {
    return *state_->store;
}

} // namespace p2prc::registry

#include "daemon/fleet/upload.h"

#include "core/json_members.h"
#include "core/keys.h"
#include "core/text.h"
#include "link/frame.h"
#include "net/event.h"
#include "net/log.h"
#include "net/spawn.h"

#include <fmt/format.h>

#include <map>
#include <set>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

constexpr std::size_t part_size = link::max_frame / 2;
constexpr auto retry = std::chrono::seconds(5);

// The registry refuses a request with a key that it does not know, or of another form: a later version's,
// which ran here before.
bool is_uploaded(std::string_view key) {
    const auto parsed = keys::parse(key);
    return parsed && parsed->family->is_uploaded();
}

using Batch = std::map<std::string, std::optional<Json>>;

std::size_t size_of(const std::string& key, const std::optional<Json>& value) {
    return key.size() + 16 + (value ? value->dump(-1, ' ', false, Json::error_handler_t::replace).size() : 0);
}

// Takes from `batch` what fits into one request.
Batch take_part(Batch& batch) {
    Batch part;
    std::size_t size = 0;
    while (!batch.empty()) {
        const auto first = batch.begin();
        const auto item = size_of(first->first, first->second);
        if (!part.empty() && size + item > part_size) break;
        size += item;
        part.insert(batch.extract(first));
    }
    return part;
}

Json set_of(const Batch& part) {
    auto set = Json::object();
    for (const auto& [key, value] : part)
        if (value) set[key] = *value;
    return set;
}

Json delete_of(const Batch& part) {
    auto keys = Json::array();
    for (const auto& [key, value] : part)
        if (!value) keys.push_back(key);
    return keys;
}

} // namespace

struct Upload::State {
    State(asio::any_io_executor executor, registry::Gateway& g, state::OwnState& o, const state::Replica& r)
        : gateway(g)
        , own(o)
        , replica(r)
        , changed(executor)
        , pause(executor) {}

    registry::Gateway& gateway;
    state::OwnState& own;
    const state::Replica& replica;
    state::Subscription subscription;
    Batch pending;
    bool whole = true; // everything must be put again
    bool stopped = false;
    bool disk_fails = false;
    std::set<std::string> left_out; // keys for which the registry has no room
    std::optional<Error> refused;
    net::Event changed;
    net::Event pause;
};

namespace {

std::string no_room(const std::set<std::string>& left_out) {
    return fmt::format(
        "the registry has no room for {} of this node's keys, {} among them: others do not see "
        "them",
        left_out.size(), text::excerpt(*left_out.begin()));
}

// The registry takes what it has room for (registry/quota.h), and names the rest.
template <class State>
void note_room(State& state, const Batch& sent, const Json& answer) {
    const bool noted = !state.left_out.empty();
    for (const auto& [key, value] : sent)
        state.left_out.erase(key);
    for (auto& key : json::member<std::vector<std::string>>(answer, "without_room"))
        if (sent.contains(key)) state.left_out.insert(std::move(key));
    if (!state.left_out.empty() && !noted) net::log_warning(no_room(state.left_out));
}

template <class State>
asio::awaitable<Result<void>> send_once(std::shared_ptr<State> state) {
    bool whole = state->whole;
    if (whole) {
        state->pending.clear();
        state->left_out.clear();
        for (const auto& [key, entry] : state->own.entries())
            if (is_uploaded(key)) state->pending[key] = *entry.document.read();
        state->whole = false;
    }
    // Only the last part of a put removes what is gone: in between, others see nothing come and go.
    std::set<std::string> sent;
    do {
        const auto part = take_part(state->pending);
        const bool put = whole && state->pending.empty();
        Json params{{"revision", state->replica.revision()}};
        if (put) {
            params["items"] = set_of(part);
            for (const auto& [key, value] : part)
                if (!value) sent.erase(key);
            params["keep"] = sent;
            whole = false;
        } else {
            params["set"] = set_of(part);
            params["delete"] = delete_of(part);
        }
        const std::string method = put ? "status.put" : "status.update";
        // Others act upon what they are told: it is on disk here first. A disk that fails silences nobody.
        const auto kept = co_await state->own.flush();
        if (state->stopped) co_return Result<void>();
        if (!kept && !state->disk_fails)
            net::log_error("this node's state is not written any more: " + kept.error().message);
        state->disk_fails = !kept;
        const auto done = co_await state->gateway.request(method, std::move(params));
        if (state->stopped) co_return Result<void>();
        if (!done) co_return std::unexpected(done.error());
        note_room(*state, part, *done);
        for (const auto& [key, value] : part)
            if (value) sent.insert(key);
    } while (!state->pending.empty());
    co_return Result<void>();
}

template <class State>
asio::awaitable<void> keep_uploading(std::shared_ptr<State> state) {
    while (!state->stopped) {
        if (!state->whole && state->pending.empty()) {
            co_await state->changed.wait();
            continue;
        }
        const auto sent = co_await send_once(state);
        if (state->stopped) continue;
        if (sent) {
            state->refused.reset();
            continue;
        }
        // No answer in time does not end a link: it is tried again until the link's end destroys this.
        if (sent.error().code != ErrorCode::Unreachable) {
            if (!state->refused || state->refused->message != sent.error().message)
                net::log_warning("the registry refuses this node's status: " + sent.error().message);
            state->refused = sent.error();
        }
        state->whole = true;
        co_await state->pause.wait(retry);
    }
}

} // namespace

Upload::Upload(asio::any_io_executor executor, registry::Gateway& gateway, state::OwnState& own,
               const state::Replica& replica)
    : state_(std::make_shared<State>(executor, gateway, own, replica)) {
    state_->subscription =
        own.subscribe("", [weak = std::weak_ptr(state_)](std::span<const state::Change> changes) {
            const auto state = weak.lock();
            if (!state) return;
            for (const auto& change : changes)
                if (is_uploaded(change.key)) state->pending[change.key] = change.value;
            if (!state->pending.empty()) state->changed.set();
        });
    net::spawn_loop(executor, "uploading this node's state",
                    [state = state_] { return keep_uploading(state); });
}

std::optional<Error> Upload::trouble() const {
    if (state_->refused)
        return Error{
            state_->refused->code,
            fmt::format("the registry refuses what this node reports, so other nodes see an "
                        "earlier state of it: {}",
                        state_->refused->message),
            "run the same version of p2prc here and on the root node; journalctl -u p2prcd, on both, "
            "shows more"};
    if (!state_->left_out.empty())
        return Error{
            ErrorCode::Conflict, no_room(state_->left_out),
            "end processes that are not needed, and give up domains: p2prc kill, p2prc unmap-domain"};
    return std::nullopt;
}

Upload::~Upload() {
    state_->stopped = true;
    state_->subscription.reset();
    state_->changed.set();
    state_->pause.set();
}

} // namespace p2prc::daemon

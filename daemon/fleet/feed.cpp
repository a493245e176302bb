#include "daemon/fleet/feed.h"

#include "daemon/fleet/frame.h"

#include <nlohmann/json.hpp>

namespace p2prc::daemon {
namespace {

// Leaves room in a frame for what surrounds the items.
constexpr std::size_t part_size = max_frame / 2;

Json item_document(const Change& change) {
    return {{"key", change.key}, {"value", change.value.value_or(nullptr)}, {"revision", change.revision}};
}

Json event_document(const FeedEvent& event) {
    return {{"event", event.reset ? "reset" : "changes"},
            {"store_id", event.store_id},
            {"revision", event.revision},
            {"items", Json::array()}};
}

} // namespace

std::vector<Json> feed_documents(const FeedEvent& event, std::vector<std::string>& too_large) {
    std::vector<Json> documents{event_document(event)};
    std::size_t size = 0;
    for (const auto& change : event.items) {
        auto item = item_document(change);
        const auto item_size = item.dump(-1, ' ', false, Json::error_handler_t::replace).size();
        if (item_size > max_frame - 1024) {
            too_large.push_back(change.key);
            continue;
        }
        if (size > 0 && size + item_size > part_size) {
            documents.back()["more"] = true;
            documents.push_back(event_document(event));
            size = 0;
        }
        documents.back()["items"].push_back(std::move(item));
        size += item_size;
    }
    return documents;
}

Result<std::optional<FeedEvent>> FeedReader::take(const Json& document) {
    const auto bad = [] {
        return fail(ErrorCode::InvalidSpec, "a change of the fleet's state that cannot be read");
    };
    const auto kind = document.find("event");
    const auto store_id = document.find("store_id");
    const auto revision = document.find("revision");
    const auto items = document.find("items");
    if (kind == document.end() || store_id == document.end() || !store_id->is_string() ||
        revision == document.end() || !revision->is_number_unsigned() || items == document.end() ||
        !items->is_array())
        return bad();
    const bool reset = *kind == "reset";
    if (!partial_) partial_ = FeedEvent{reset, *store_id, *revision, {}};
    if (partial_->reset != reset || partial_->store_id != store_id->get_ref<const std::string&>() ||
        partial_->revision != *revision)
        return bad();
    for (const auto& item : *items) {
        if (!item.is_object() || !item.contains("key") || !item["key"].is_string() || !item.contains("value"))
            return bad();
        Change change;
        change.key = item["key"];
        if (!item["value"].is_null()) change.value = item["value"];
        const auto at = item.find("revision");
        change.revision =
            at != item.end() && at->is_number_unsigned() ? at->get<std::uint64_t>() : partial_->revision;
        partial_->items.push_back(std::move(change));
    }
    if (document.contains("more")) return std::optional<FeedEvent>();
    return std::exchange(partial_, std::nullopt);
}

} // namespace p2prc::daemon

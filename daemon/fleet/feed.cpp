#include "daemon/fleet/feed.h"

#include "daemon/fleet/frame.h"

#include <nlohmann/json.hpp>

namespace p2prc::daemon {
namespace {

// A ping behind a part waits no longer than the part takes on a slow line.
constexpr std::size_t part_size = 64 << 10;

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

Json FeedWriter::next() {
    auto document = event_document(event_);
    std::size_t size = 0;
    for (; at_ < event_.items.size(); ++at_) {
        auto item = item_document(event_.items[at_]);
        const auto item_size = item.dump(-1, ' ', false, Json::error_handler_t::replace).size();
        if (item_size > max_frame - 1024) {
            too_large_.push_back(event_.items[at_].key);
            continue;
        }
        if (size > 0 && size + item_size > part_size) {
            document["more"] = true;
            return document;
        }
        document["items"].push_back(std::move(item));
        size += item_size;
        event_.items[at_].value.reset(); // it is not needed any more
    }
    done_ = true;
    return document;
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

#include "link/feed.h"

#include "link/frame.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace p2prc::link {
namespace {

// A ping behind a part waits no longer than the part takes on a slow line.
constexpr std::size_t part_size = 64 << 10;

std::string quoted(const std::string& text) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string item_text(const state::FeedText& item) {
    return fmt::format(R"({{"key":{},"revision":{},"value":{}}})", quoted(item.key), item.revision,
                       item.value ? std::string_view(*item.value) : "null");
}

bool is_too_large(const state::FeedText& item) {
    return item.key.size() + (item.value ? item.value->size() : 0) > max_frame - 1024;
}

// From the item at `begin` on, as many as fit; `end` is that of the next part, and of all when there is none.
std::string part_text(const state::FeedStep& step, std::size_t begin, std::size_t& end) {
    std::string items;
    bool more = false;
    for (end = begin; end < step.items.size() && !more; ++end) {
        if (is_too_large(step.items[end])) continue;
        const auto item = item_text(step.items[end]);
        more = !items.empty() && items.size() + item.size() > part_size;
        if (more) break;
        if (!items.empty()) items += ',';
        items += item;
    }
    return fmt::format(R"({{"event":"{}","items":[{}],{}"revision":{},"store_id":{}}})",
                       step.reset ? "reset" : "changes", items, more ? R"("more":true,)" : "", step.revision,
                       quoted(step.store_id));
}

} // namespace

std::shared_ptr<const Bytes> FeedWriter::next() {
    auto& part = step_->parts[at_];
    auto frame = part.frame.lock();
    if (!frame) {
        frame = std::make_shared<const Bytes>(frame_of(part_text(*step_, at_, part.end)));
        part.frame = frame;
    }
    for (; at_ < part.end; ++at_)
        if (is_too_large(step_->items[at_])) too_large_.push_back(step_->items[at_].key);
    done_ = at_ == step_->items.size();
    return frame;
}

Result<std::optional<state::FeedEvent>> FeedReader::take(const Json& document) {
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
    if (!partial_) partial_ = state::FeedEvent{reset, *store_id, *revision, {}};
    if (partial_->reset != reset || partial_->store_id != store_id->get_ref<const std::string&>() ||
        partial_->revision != *revision)
        return bad();
    for (const auto& item : *items) {
        if (!item.is_object() || !item.contains("key") || !item["key"].is_string() || !item.contains("value"))
            return bad();
        state::Change change;
        change.key = item["key"];
        if (!item["value"].is_null()) change.value = item["value"];
        const auto at = item.find("revision");
        change.revision =
            at != item.end() && at->is_number_unsigned() ? at->get<std::uint64_t>() : partial_->revision;
        partial_->items.push_back(std::move(change));
    }
    if (document.contains("more")) return std::optional<state::FeedEvent>();
    return std::exchange(partial_, std::nullopt);
}

} // namespace p2prc::link

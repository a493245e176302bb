#include "daemon/fleet/luggage.h"

#include "net/file.h"

#include <nlohmann/json.hpp>

namespace p2prc::daemon {

namespace {

using Json = nlohmann::json;

// Far above what a node's processes and domains come to.
constexpr std::size_t largest = 64 << 20;

} // namespace

Result<void> LuggageFile::pack(const Json& luggage) const {
    Json document{{"schema", 1}, {"luggage", luggage}};
    return net::write_file_atomically(path_,
                                      document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<std::optional<Json>> LuggageFile::load() const {
    const auto text = net::read_file(path_, largest);
    if (!text && text.error().code == ErrorCode::NotFound) return std::optional<Json>();
    if (!text) return std::unexpected(text.error());
    auto document = Json::parse(*text, nullptr, false);
    if (!document.is_object() || !document.contains("luggage") || !document["luggage"].is_object())
        return fail(
            ErrorCode::Failed, path_.string() + " cannot be read",
            "it holds what this node brings home from the fleet that it was leaving; move it away to go "
            "on without that");
    return std::optional<Json>(std::move(document["luggage"]));
}

Result<void> LuggageFile::remove() const {
    return net::remove_file(path_);
}

} // namespace p2prc::daemon

#include "cli/custom.h"

#include "cli/daemon.h"
#include "core/labels.h"
#include "core/text.h"
#include "net/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <utility>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

Result<Custom> read_custom(const std::string& file) {
    constexpr std::size_t longest = std::size_t{64} << 10U;
    std::string text;
    if (file == "-") {
        for (auto c = std::cin.get(); std::cin && text.size() < longest; c = std::cin.get())
            text.push_back(static_cast<char>(c));
    } else {
        auto read = net::read_file(file, longest);
        if (!read) return std::unexpected(read.error());
        text = std::move(*read);
    }
    const auto document = Json::parse(text, nullptr, false);
    const bool texts = document.is_object() &&
                       std::ranges::all_of(document, [](const Json& value) { return value.is_string(); });
    if (!texts)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("{} is not a JSON object of texts", file == "-" ? "standard input" : file),
                    R"(write, for example, {"stands in": "the attic", "owner": "Grete"}; {} removes all)");
    return parse_custom(document);
}

} // namespace

Result<int> store_custom(StoreCustom store, const char* key, const std::string& subject,
                         const std::string& file, const Context& context) {
    const auto custom = read_custom(file);
    if (!custom) return std::unexpected(custom.error());
    Daemon daemon;
    if (auto done = daemon.call(store, subject, Json(*custom)); !done) return std::unexpected(done.error());
    if (context.json)
        print(Json{{key, subject}, {"custom", *custom}});
    else
        note(fmt::format("the custom information about '{}' is stored", subject));
    return 0;
}

void add_custom(Table& table, const Json& subject) {
    const auto custom = subject.find("custom");
    if (custom == subject.end() || !custom->is_object()) return;
    for (const auto& [key, value] : custom->items())
        table.rows.push_back({text::for_terminal(key), cell(*custom, key)});
}

} // namespace p2prc::cli

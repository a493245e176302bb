#include "edge/config.h"

#include "core/document.h"

#include <fmt/format.h>

#include <array>
#include <functional>

namespace p2prc::edge {
namespace {

using Json = nlohmann::json;

// Stores a checked value, or returns why it is refused.
using Store = std::function<std::string(Config&, const Json&)>;

struct Row {
    std::string_view key;
    FieldType type;
    std::string_view documentation;
    Store store;
};

Store seconds(std::function<std::chrono::milliseconds&(Config&)> field) {
    return [field = std::move(field)](Config& config, const Json& value) -> std::string {
        const auto number = value.get<double>();
        if (!(number > 0 && number <= 30 * 24 * 3600.0)) return "must be above 0 and at most 30 days";
        field(config) = std::chrono::milliseconds(static_cast<std::int64_t>(number * 1000));
        return {};
    };
}

Store count(std::function<std::size_t&(Config&)> field, std::int64_t least = 1) {
    return [field = std::move(field), least](Config& config, const Json& value) -> std::string {
        const auto number = value.get<std::int64_t>();
        if (number < least || number > 1'000'000'000)
            return fmt::format("must be between {} and 1000000000", least);
        field(config) = static_cast<std::size_t>(number);
        return {};
    };
}

Store endpoints(std::vector<net::Endpoint> Config::* field) {
    return [field](Config& config, const Json& value) -> std::string {
        std::vector<net::Endpoint> list;
        for (const auto& entry : value) {
            const auto endpoint = net::Endpoint::parse(entry.get<std::string>());
            if (!endpoint) return endpoint.error().message;
            list.push_back(*endpoint);
        }
        config.*field = std::move(list);
        return {};
    };
}

Store path(std::string Config::* field) {
    return [field](Config& config, const Json& value) -> std::string {
        auto text = value.get<std::string>();
        if (!text.starts_with('/')) return "must be an absolute path";
        config.*field = std::move(text);
        return {};
    };
}

const std::vector<Row>& rows() {
    static const std::vector<Row> table{
        {"listen.tls", FieldType::StringList, "addresses for TLS, instead of the socket unit's",
         endpoints(&Config::listen_tls)},
        {"listen.http", FieldType::StringList, "addresses for plain HTTP, instead of the socket unit's",
         endpoints(&Config::listen_http)},
        {"listen.dns", FieldType::StringList,
         "addresses for DNS, instead of port 53 on the machine's global addresses",
         endpoints(&Config::listen_dns)},
        {"control.socket", FieldType::String, "Unix socket of p2prcd for control links",
         path(&Config::control_socket)},
        {"state.directory", FieldType::String, "where key and routes are kept",
         path(&Config::state_directory)},
        {"timeouts.hello_seconds", FieldType::Number, "from accept to the whole ClientHello or request head",
         seconds([](Config& config) -> auto& { return config.listener.first_timeout; })},
        {"timeouts.dial_seconds", FieldType::Number, "time a route's target has to accept the connection",
         seconds([](Config& config) -> auto& { return config.dial_timeout; })},
        {"timeouts.idle_seconds", FieldType::Number, "a relayed connection without a byte either way",
         seconds([](Config& config) -> auto& { return config.pump.idle; })},
        {"timeouts.half_closed_seconds", FieldType::Number,
         "a relayed connection of which one side has finished, without a byte the other way",
         seconds([](Config& config) -> auto& { return config.pump.half_closed; })},
        {"timeouts.drain_seconds", FieldType::Number, "for open connections to end when the edge stops",
         seconds([](Config& config) -> auto& { return config.drain; })},
        {"limits.waiting", FieldType::Integer,
         "connections that have not sent their whole greeting; beyond it, the one that has waited longest is "
         "evicted",
         count([](Config& config) -> auto& { return config.listener.waiting; })},
        {"limits.waiting_per_address", FieldType::Integer, "of those, from one IPv4 address or IPv6 /64",
         count([](Config& config) -> auto& { return config.listener.waiting_per_address; })},
        {"limits.waiting_bytes", FieldType::Integer,
         "bytes that those have sent in total; beyond it, the one that has sent most is evicted",
         count([](Config& config) -> auto& { return config.listener.waiting_bytes; })},
        {"limits.dns_answers_per_second", FieldType::Integer,
         "over UDP, to one IPv4 /24 or IPv6 /56; beyond it, every second question gets an empty answer "
         "with TC, the others none; 0: no limit",
         count([](Config& config) -> auto& { return config.dns_answers_per_second; }, 0)},
    };
    return table;
}

const Row* find_row(std::string_view key) {
    for (const auto& row : rows())
        if (row.key == key) return &row;
    return nullptr;
}

} // namespace

std::vector<ConfigKey> config_keys() {
    std::vector<ConfigKey> keys;
    for (const auto& row : rows())
        keys.push_back({row.key, row.documentation});
    return keys;
}

Result<void> read_config(std::string_view text, const std::string& file, Config& config) {
    const auto toml = parse_toml(text, file);
    if (!toml) return std::unexpected(toml.error());
    const auto locate = toml->locate();
    static constexpr std::array<std::string_view, 5> sections{"listen", "control", "state", "timeouts",
                                                              "limits"};
    if (auto checked = check_known_keys(toml->document, "", sections, locate); !checked) return checked;
    Config changed = config;
    for (const auto& [section, table] : toml->document.items()) {
        if (auto checked = check_type(table, FieldType::Table, section, locate); !checked) return checked;
        std::vector<std::string_view> known;
        for (const auto& row : rows())
            if (row.key.starts_with(section + ".")) known.push_back(row.key.substr(section.size() + 1));
        if (auto checked = check_known_keys(table, section, known, locate); !checked) return checked;
        for (const auto& [key, value] : table.items()) {
            const auto full = section + "." + key;
            const auto* row = find_row(full);
            if (auto checked = check_type(value, row->type, full, locate); !checked) return checked;
            if (auto why = row->store(changed, value); !why.empty())
                return std::unexpected(bad_key(locate, full, why));
        }
    }
    config = std::move(changed);
    return {};
}

} // namespace p2prc::edge

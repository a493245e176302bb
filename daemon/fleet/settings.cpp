#include "daemon/fleet/settings.h"

#include "core/names.h"
#include "net/file.h"

#include <nlohmann/json.hpp>

namespace p2prc::daemon {

using Json = nlohmann::json;

std::string node_name_from_host(std::string_view host_name) {
    constexpr std::size_t longest = 42;
    std::string name;
    for (char c : host_name.substr(0, host_name.find('.'))) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        const bool letter = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
        if (!letter && !digit) c = '-';
        if (name.empty() && !letter) continue;
        if (name.size() < longest) name.push_back(c);
    }
    while (name.ends_with('-'))
        name.pop_back();
    return check_node_name(name) ? name : "node";
}

Result<FleetSettings> load_settings(const std::filesystem::path& file, const std::string& host_name) {
    const auto text = net::read_file(file, 1 << 20);
    if (!text && text.error().code == ErrorCode::NotFound)
        return FleetSettings{node_name_from_host(host_name), {}};
    if (!text) return std::unexpected(text.error());
    const auto bad = [&](const std::string& what) {
        return fail(ErrorCode::Failed, file.string() + ": " + what,
                    "restore it from a backup; without it this node does not know which fleet it is in");
    };
    const auto document = Json::parse(*text, nullptr, false);
    if (!document.is_object() || !document.contains("name") || !document["name"].is_string())
        return bad("is not a settings file of p2prcd");
    FleetSettings settings;
    settings.name = document["name"];
    if (!check_node_name(settings.name)) return bad("'" + settings.name + "' is not a node name");
    const auto root = document.find("root");
    if (root == document.end() || root->is_null()) return settings;
    if (!root->is_object()) return bad("'root' is not an object");
    RootReference reference;
    reference.key = root->value("key", std::string());
    reference.zone = root->value("zone", std::string());
    for (const auto& address : root->value("addresses", Json::array())) {
        const auto endpoint = net::Endpoint::parse(address.is_string() ? address.get<std::string>() : "");
        if (endpoint) reference.addresses.push_back(*endpoint);
    }
    if (reference.key.size() != 64 || reference.addresses.empty())
        return bad("the root's key or address is missing");
    settings.root = std::move(reference);
    return settings;
}

Result<void> save_settings(const std::filesystem::path& file, const FleetSettings& settings) {
    Json document{{"schema", 1}, {"name", settings.name}, {"root", nullptr}};
    if (settings.root) {
        auto addresses = Json::array();
        for (const auto& endpoint : settings.root->addresses)
            addresses.push_back(endpoint.text());
        document["root"] = {
            {"key", settings.root->key}, {"zone", settings.root->zone}, {"addresses", std::move(addresses)}};
    }
    return net::write_file_atomically(file,
                                      document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

} // namespace p2prc::daemon

#include "core/deployer_report.h"

#include "core/json_members.h"
#include "core/names.h"
#include "core/spec_values.h"
#include "core/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace p2prc {

using Json = nlohmann::json;

namespace {

constexpr std::size_t longest_need = 128;
constexpr std::size_t longest_problem = 200;

std::string_view word_of(DeployerClass as) noexcept {
    return std::ranges::find(deployer_classes, as, &std::pair<DeployerClass, std::string_view>::first)
        ->second;
}

void bound(DeployerReport& deployer) {
    if (deployer.missing.size() > most_reported_needs) deployer.missing.resize(most_reported_needs);
    for (auto& program : deployer.missing)
        program = text::excerpt(program, longest_need);
    deployer.problem = text::excerpt(deployer.problem, longest_problem);
}

constexpr std::array packages{
    std::pair{std::string_view("/usr/bin/skopeo"), std::string_view("skopeo")},
    std::pair{std::string_view("/usr/bin/umoci"), std::string_view("umoci")},
    std::pair{std::string_view("/usr/bin/podman"), std::string_view("podman")},
    std::pair{std::string_view("/usr/bin/nix-build"), std::string_view("nix-bin nix-setup-systemd")},
    std::pair{std::string_view("/usr/bin/ansible-playbook"), std::string_view("ansible-core")},
};

} // namespace

Json deployers_to_json(std::span<const DeployerReport> deployers) {
    auto list = Json::array();
    for (auto deployer : deployers.first(std::min(deployers.size(), most_reported_deployers))) {
        bound(deployer);
        list.push_back({{"name", deployer.name},
                        {"as", word_of(deployer.as)},
                        {"admitted", deployer.admitted},
                        {"missing", std::move(deployer.missing)},
                        {"problem", std::move(deployer.problem)}});
    }
    return list;
}

std::optional<std::vector<DeployerReport>> deployers_from_info(const Json& info) {
    if (!info.is_object()) return std::nullopt;
    const auto list = info.find("deployers");
    if (list == info.end() || !list->is_array()) return std::nullopt;
    std::vector<DeployerReport> deployers;
    for (const auto& item : *list) {
        if (deployers.size() >= most_reported_deployers) break;
        DeployerReport deployer{
            .name = json::member<std::string>(item, "name"),
            .as = deployer_class_of(json::member<std::string>(item, "as")).value_or(DeployerClass::Root),
            .admitted = json::member<bool>(item, "admitted"),
            .missing = json::member<std::vector<std::string>>(item, "missing"),
            .problem = json::member<std::string>(item, "problem")};
        if (!check_deployer(deployer.name).empty()) continue;
        bound(deployer);
        deployers.push_back(std::move(deployer));
    }
    return deployers;
}

std::string instead_of_deployer(std::string_view name, std::span<const std::string> known) {
    if (known.empty()) return "it has none";
    const std::vector<std::string_view> names(known.begin(), known.end());
    const auto near = nearest(name, names);
    return fmt::format("{}it has {}", near.empty() ? "" : fmt::format("did you mean '{}'? ", near),
                       fmt::join(known, ", "));
}

std::string how_to_install(std::span<const std::string> programs) {
    std::string names, known;
    for (const auto& program : programs) {
        names += (names.empty() ? "" : " and ") + program;
        const auto* package =
            std::ranges::find(packages, program, [](const auto& one) { return std::string(one.first); });
        if (package != packages.end()) known += fmt::format(" {}", package->second);
    }
    return known.empty() ? fmt::format("install {}", names)
                         : fmt::format("install {}; on Debian: apt install{}", names, known);
}

} // namespace p2prc

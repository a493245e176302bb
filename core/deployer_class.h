// As whom a deployer runs: `as` of its NAME.toml.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace p2prc {

enum class DeployerClass {
    Process, // as the process for which it runs, in the same sandbox
    Builder, // as a user for all of them, in a sandbox and without the data
    Root,    // as the superuser
};

inline constexpr std::array deployer_classes{std::pair{DeployerClass::Process, std::string_view("process")},
                                             std::pair{DeployerClass::Builder, std::string_view("builder")},
                                             std::pair{DeployerClass::Root, std::string_view("root")}};

constexpr std::optional<DeployerClass> deployer_class_of(std::string_view name) noexcept {
    for (const auto& [known, word] : deployer_classes)
        if (word == name) return known;
    return std::nullopt;
}

} // namespace p2prc

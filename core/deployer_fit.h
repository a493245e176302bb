// Which keys of a process file are not for a process that runs in a container, or in a root of its own, as
// its deployer says.
#pragma once

#include "core/process_spec.h"

#include <optional>
#include <string_view>

namespace p2prc {

struct Misfit {
    std::string_view key; // such as "run.user"
    std::string_view why; // "is not for a container"
    std::string_view hint;
};

std::optional<Misfit> misfit_in_container(const ProcessSpec& spec);
std::optional<Misfit> misfit_in_root(const ProcessSpec& spec);

// By the name of its deployer, before that has run: of those that come with p2prc it is known what they say.
std::optional<Misfit> misfit_of_deployer(const ProcessSpec& spec);

} // namespace p2prc

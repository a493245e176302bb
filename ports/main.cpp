// p2prcd-ports [--unpin] RULE...: pins the BPF programs that keep processes to their ports, or removes them.
// p2prcd has systemd run it, as it may not load programs itself.
#include "ports/pins.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace p2prc;

Result<void> run(std::span<char* const> names) {
    const bool remove = !names.empty() && names.front() == bind_unpin_option;
    if (remove) names = names.subspan(1);
    std::vector<BindRule> rules;
    for (const char* name : names) {
        auto rule = bind_rule_from_name(name);
        if (!rule) return std::unexpected(rule.error());
        rules.push_back(*rule);
    }
    const std::filesystem::path directory(bind_programs_directory);
    if (auto able = ports::check_machine(directory.parent_path(), "/sys/fs/cgroup"); !able) return able;
    for (const auto& rule : rules)
        if (auto done = remove ? ports::unpin(rule, directory) : ports::pin(rule, directory); !done)
            return done;
    return {};
}

} // namespace

int main(int argc, char** argv) {
    const auto done = run(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
    if (done) return EXIT_SUCCESS;
    const auto& error = done.error();
    fmt::print(stderr, "{}{}{}\n", error.message, error.hint.empty() ? "" : "; ", error.hint);
    return EXIT_FAILURE;
}

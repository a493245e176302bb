// p2prcd-ports [--unpin] RULE...: pins the BPF programs that keep processes to their ports, or removes them.
// p2prcd-ports --attach RULE: attaches them to the control group that it runs in.
// p2prcd has systemd run it, as it may not load programs itself.
#include "net/command_line.h"
#include "ports/pins.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using namespace p2prc;

constexpr const char* cgroup_root = "/sys/fs/cgroup";

Result<std::vector<BindRule>> rules_from(const std::vector<std::string>& names) {
    std::vector<BindRule> rules;
    for (const auto& name : names) {
        auto rule = bind_rule_from_name(name);
        if (!rule) return std::unexpected(rule.error());
        rules.push_back(*rule);
    }
    return rules;
}

Result<void> attach(const std::string& name) {
    const auto rule = bind_rule_from_name(name);
    if (!rule) return std::unexpected(rule.error());
    const auto cgroup = ports::own_cgroup(cgroup_root);
    if (!cgroup) return std::unexpected(cgroup.error());
    return ports::attach(*rule, *cgroup);
}

Result<void> pin(const std::vector<std::string>& names, bool remove) {
    const auto rules = rules_from(names);
    if (!rules) return std::unexpected(rules.error());
    const std::filesystem::path directory(bind_programs_directory);
    if (auto able = ports::check_machine(directory.parent_path(), cgroup_root); !able) return able;
    for (const auto& rule : *rules)
        if (auto done = remove ? ports::unpin(rule, directory) : ports::pin(rule, directory); !done)
            return done;
    return {};
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app{"Pins the BPF programs that keep processes to their ports.", "p2prcd-ports"};
    app.footer("p2prcd has systemd run this. A rule is written none, 8120, 8384+22000 or low-443.");
    bool remove = false;
    auto* removes = app.add_flag(std::string(bind_unpin_option), remove, "removes them instead");
    std::string attached;
    app.add_option(std::string(bind_attach_option), attached,
                   "attaches them to the control group that this program runs in")
        ->option_text("RULE")
        ->excludes(removes);
    std::vector<std::string> names;
    app.add_option("RULE", names, "the ports that a process may bind");
    if (const auto status = net::parse_command_line(app, argc, argv)) return *status;
    const auto done = attached.empty() ? pin(names, remove) : attach(attached);
    if (done) return 0;
    const auto& error = done.error();
    fmt::print(stderr, "{}{}{}\n", error.message, error.hint.empty() ? "" : "; ", error.hint);
    return error_info(error.code).exit_status;
}

#include "registry/placement.h"

#include "core/counted.h"
#include "core/deployer_report.h"
#include "core/json_members.h"
#include "core/remote_spin.h"
#include "core/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace p2prc::registry {
namespace {

// What a node reports that its machine has, as far as it can be true.
struct Measured {
    std::string arch;
    std::optional<std::uint64_t> memory, memory_free, disk_free;
    std::optional<double> busy; // part of the last minute in which something waited for a processor
    bool gpu = false;
    bool on_battery = false;
};

// More than any machine has; sums of two do not overflow.
constexpr std::uint64_t most_bytes = std::uint64_t{1} << 60;

std::optional<std::uint64_t> bytes_of(const Json& info, std::string_view key) {
    const auto value = json::optional_member<std::uint64_t>(info, key);
    return value && *value <= most_bytes ? value : std::nullopt;
}

Measured measured_by(const Candidate& candidate) {
    Measured result;
    if (!candidate.info) return result;
    const auto& info = *candidate.info;
    result.arch = json::member<std::string>(info, "arch");
    result.memory = bytes_of(info, "memory_bytes");
    result.memory_free = bytes_of(info, "memory_available_bytes");
    if (result.memory_free && result.memory)
        result.memory_free = std::min(*result.memory_free, *result.memory);
    if (result.memory_free) *result.memory_free -= std::min(*result.memory_free, candidate.promised_bytes);
    result.disk_free = bytes_of(info, "disk_available_bytes");
    if (const auto percent = json::optional_member<double>(info, "cpu_pressure");
        percent && std::isfinite(*percent))
        result.busy = std::clamp(*percent, 0.0, 100.0) / 100;
    result.gpu = !json::member<std::vector<std::string>>(info, "gpus").empty();
    result.on_battery = json::member<bool>(info, "on_battery");
    return result;
}

std::string size_text(std::uint64_t bytes) {
    constexpr const char* units[] = {"B", "K", "M", "G", "T", "P"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(units)) {
        value /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{}B", bytes) : fmt::format("{:.1f}{}", value, units[unit]);
}

class Judge {
  public:
    Judge(const ProcessSpec& spec, const Candidate& candidate)
        : spec_(spec)
        , candidate_(candidate)
        , measured_(measured_by(candidate)) {}

    std::vector<Obstacle> obstacles() {
        look_at_node();
        look_at_machine();
        look_at_deployer();
        // What it has already needs no more room.
        if (!candidate_.has_it) look_at_room();
        look_at_labels();
        if (!candidate_.has_it && candidate_.port) found_.push_back(*candidate_.port);
        if (!candidate_.has_it && candidate_.local) found_.push_back(*candidate_.local);
        return std::move(found_);
    }

    const Measured& measured() const { return measured_; }

  private:
    const std::string& name() const { return candidate_.record.name; }

    void add(const char* code, std::string text, std::string fix) {
        found_.push_back({code, std::move(text), std::move(fix)});
    }

    void look_at_node() {
        if (candidate_.live == "suspect")
            add("not-up", "it has just stopped answering", "wait a moment, and look at p2prc nodes");
        else if (candidate_.live != "up")
            add("not-up",
                candidate_.since.empty() ? std::string("lost")
                                         : fmt::format("lost since {}", text::excerpt(candidate_.since)),
                "is it on, and does it reach the root? p2prc nodes shows when it was last heard of");
        const auto& nodes = spec_.placement.nodes;
        if (!nodes.empty() && std::ranges::find(nodes, name()) == nodes.end())
            add("not-listed", "placement.nodes does not name it",
                fmt::format("add \"{}\" to placement.nodes", name()));
        if (candidate_.has_it) return;
        if (candidate_.record.draining)
            add("draining", "it takes no processes at the moment",
                fmt::format("p2prc nodes resume {}", name()));
        if (candidate_.asks) return;
        const auto policy = candidate_.info
                                ? json::member<std::string>(*candidate_.info, "remote_spin", "sandboxed")
                                : std::string("sandboxed");
        if (auto allowed = check_remote_spin(remote_spin_of(policy), spec_, name()); !allowed)
            add("policy", std::move(allowed.error().message), std::move(allowed.error().hint));
    }

    // Who asks knows its own better than the last report of it.
    void look_at_deployer() {
        if (candidate_.asks || candidate_.has_deployed) return;
        auto able = check_reported_deployer(spec_, candidate_.info, name());
        if (able) return;
        const auto* code = able.error().code == ErrorCode::NotPermitted ? "policy" : "deployer";
        // A node that takes nothing at all takes no deployer either.
        if (std::ranges::find(found_, "policy", &Obstacle::code) != found_.end()) return;
        add(code, std::move(able.error().message), std::move(able.error().hint));
    }

    void look_at_machine() {
        const auto& require = spec_.placement.require;
        if (!require.arch.empty() && measured_.arch != require.arch)
            add("arch",
                measured_.arch.empty()
                    ? fmt::format("needs {}, and has not reported its own", require.arch)
                    : fmt::format("needs {}, it is {}", require.arch, text::excerpt(measured_.arch, 40)),
                "use a node of that architecture, or change placement.require.arch");
        if (require.gpu && !measured_.gpu)
            add("gpu", "has no graphics processor",
                "use another node; p2prc nodes show NAME lists what was found there");
    }

    void look_at_labels() {
        for (const auto& label : spec_.placement.require.labels)
            if (!has_label(candidate_.record.labels, label))
                add("label", fmt::format("label '{}' is missing", label),
                    fmt::format("p2prc nodes label {} {}", name(), label));
    }

    void look_at_room() {
        look_at_room("memory", "of memory", needed_memory(spec_), measured_.memory_free,
                     "end what is not needed there, or lower limits.memory or placement.require.memory");
        look_at_room("disk", "on disk", spec_.placement.require.disk_bytes.value_or(0), measured_.disk_free,
                     "make room there, or lower placement.require.disk");
    }

    void look_at_room(const char* code, const char* where, std::uint64_t needed,
                      const std::optional<std::uint64_t>& free, const char* fix) {
        if (needed == 0 || (free && needed <= *free)) return;
        if (!free)
            add(code,
                fmt::format("needs {} {}, and has not reported how much is free", size_text(needed), where),
                fmt::format("upgrade p2prc on {}, or wait until it has reported", name()));
        else
            add(code, fmt::format("needs {} {}, {} are free", size_text(needed), where, size_text(*free)),
                fix);
    }

    const ProcessSpec& spec_;
    const Candidate& candidate_;
    Measured measured_;
    std::vector<Obstacle> found_;
};

// Steps of a thousandth, so that two nodes with the same are the same.
double share(double part) {
    return std::round(std::clamp(part, 0.0, 1.0) * 1000) / 1000;
}

// What is not known is neither for nor against a node: half.
double score_of(const Measured& measured) {
    constexpr double unknown = 0.5, battery = 0.9;
    const auto memory =
        measured.memory_free && measured.memory.value_or(0) > 0
            ? share(static_cast<double>(*measured.memory_free) / static_cast<double>(*measured.memory))
            : unknown;
    const auto idle = measured.busy ? share(1 - *measured.busy) : unknown;
    return memory * idle * (measured.on_battery ? battery : 1);
}

std::string summary_of(const Measured& measured) {
    std::string text;
    const auto add = [&](const std::string& words) { text += (text.empty() ? "" : ", ") + words; };
    if (measured.memory_free && measured.memory)
        add(fmt::format("{} of {} free", size_text(*measured.memory_free), size_text(*measured.memory)));
    if (measured.busy) add(fmt::format("{:.0f}% idle", 100 * share(1 - *measured.busy)));
    if (measured.on_battery) add("on battery");
    return text;
}

// The first of placement.nodes, or else the highest score; of equals the first by name.
const PlacementRow* best_of(const ProcessSpec& spec, std::span<const PlacementRow> rows) {
    for (const auto& name : spec.placement.nodes)
        for (const auto& row : rows)
            if (row.fits && row.node == name) return &row;
    const PlacementRow* best = nullptr;
    for (const auto& row : rows)
        if (row.fits && (!best || row.score > best->score)) best = &row;
    return best;
}

std::string obstacles_text(const PlacementRow& row) {
    std::string text;
    for (const auto& obstacle : row.obstacles)
        text += (text.empty() ? "" : "; ") + obstacle.text;
    return text;
}

// An error is a message of the bus and a person's screen.
constexpr std::size_t most_lines = 30;
constexpr std::size_t longest_line = 400;

} // namespace

Result<void> check_reported_deployer(const ProcessSpec& spec, const Json* info, const std::string& node) {
    const auto& name = spec.deploy.strategy;
    if (name.empty()) return {};
    const auto lacks = [](std::string message, std::string hint) {
        return fail(ErrorCode::NoSuitableNode, std::move(message), std::move(hint));
    };
    const auto deployers = info ? deployers_from_info(*info) : std::nullopt;
    if (!deployers)
        return lacks(fmt::format("node '{}' has not reported its deployers", node),
                     fmt::format("upgrade p2prc on {}, or wait until it has reported", node));
    const auto found = std::ranges::find(*deployers, name, &DeployerReport::name);
    if (found == deployers->end()) {
        std::vector<std::string> known;
        for (const auto& deployer : *deployers)
            known.push_back(deployer.name);
        return lacks(fmt::format("node '{}' has no deployer '{}'", node, name),
                     fmt::format("{}; or put it into /etc/p2prc/deployers on {}, which tells of it within a "
                                 "minute, or at once after systemctl reload p2prcd",
                                 instead_of_deployer(name, known), node));
    }
    if (!found->problem.empty())
        return lacks(fmt::format("node '{}' does not run the deployer '{}': {}", node, name, found->problem),
                     fmt::format("mend that on {}", node));
    if (!found->admitted)
        if (auto allowed = check_remote_deployer(RemoteSpin::Sandboxed, {}, found->as, spec, node); !allowed)
            return allowed;
    if (!found->missing.empty())
        return lacks(fmt::format("the deployer '{}' needs {}, which node '{}' does not have", name,
                                 fmt::join(found->missing, ", "), node),
                     fmt::format("on {}: {}", node, how_to_install(found->missing)));
    return {};
}

std::uint64_t needed_memory(const ProcessSpec& spec) noexcept {
    if (!is_placed(spec)) return 0;
    return std::max(spec.placement.require.memory_bytes.value_or(0), spec.limits.memory_bytes.value_or(0));
}

std::vector<PlacementRow> place(const ProcessSpec& spec, std::span<const Candidate> candidates,
                                const std::string& wanted) {
    std::vector<PlacementRow> rows;
    const Candidate* holder = nullptr;
    const Candidate* asking = nullptr;
    for (const auto& candidate : candidates) {
        Judge judge(spec, candidate);
        PlacementRow row{.node = candidate.record.name, .obstacles = judge.obstacles()};
        row.fits = row.obstacles.empty();
        row.score = row.fits ? score_of(judge.measured()) : 0;
        if (row.fits) row.summary = summary_of(judge.measured());
        rows.push_back(std::move(row));
        if (candidate.has_it) holder = &candidate;
        if (candidate.asks) asking = &candidate;
    }
    for (const auto& name : spec.placement.nodes)
        if (std::ranges::find(rows, name, &PlacementRow::node) == rows.end())
            rows.push_back({.node = name,
                            .obstacles = {{"unknown", "is not in this fleet",
                                           "p2prc nodes lists the nodes of the fleet"}}});
    std::ranges::sort(rows, {}, &PlacementRow::node);
    auto pinned = wanted;
    if (holder)
        pinned = holder->record.name;
    else if (pinned.empty() && !is_placed(spec) && asking)
        pinned = asking->record.name;
    if (pinned.empty()) {
        if (const auto* best = best_of(spec, rows)) pinned = best->node;
    }
    for (auto& row : rows)
        row.chosen = row.node == pinned && (row.fits || holder);
    return rows;
}

Result<std::string> chosen_node(const ProcessSpec& spec, std::span<const PlacementRow> rows,
                                const std::string& wanted) {
    for (const auto& row : rows)
        if (row.chosen) return row.node;
    constexpr const char* hint = "p2prc spin --dry-run says what to do about each of them";
    if (!wanted.empty()) {
        const auto row = std::ranges::find(rows, wanted, &PlacementRow::node);
        const bool one = row != rows.end() && row->obstacles.size() == 1;
        return fail(ErrorCode::NoSuitableNode,
                    fmt::format("node '{}' does not fit the placement of process '{}': {}", wanted, spec.name,
                                row == rows.end() ? std::string() : obstacles_text(*row)),
                    one ? row->obstacles.front().fix : hint);
    }
    auto message = fmt::format("no node fits the placement of process '{}'", spec.name);
    for (const auto& row : rows.first(std::min(rows.size(), most_lines)))
        message += fmt::format("\n{}: {}", row.node, text::excerpt(obstacles_text(row), longest_line));
    if (rows.size() > most_lines)
        message += "\nand " + counted(rows.size() - most_lines, "more node", "more nodes");
    return fail(ErrorCode::NoSuitableNode, std::move(message), hint);
}

Json rows_to_json(std::span<const PlacementRow> rows) {
    auto list = Json::array();
    for (const auto& row : rows) {
        auto obstacles = Json::array();
        for (const auto& obstacle : row.obstacles)
            obstacles.push_back({{"code", obstacle.code}, {"text", obstacle.text}, {"fix", obstacle.fix}});
        list.push_back({{"node", row.node},
                        {"fits", row.fits},
                        {"chosen", row.chosen},
                        {"score", row.score},
                        {"summary", row.summary},
                        {"obstacles", std::move(obstacles)}});
    }
    return list;
}

} // namespace p2prc::registry

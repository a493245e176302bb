#include "cli/top.h"

#include "cli/output.h"
#include "core/counted.h"
#include "core/fields.h"
#include "core/json_members.h"
#include "core/stop_reason.h"
#include "core/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

constexpr double usec = 1e6;

constexpr std::array sort_names{
    std::pair{"cpu", TopSort::Cpu},
    std::pair{"memory", TopSort::Memory},
    std::pair{"io", TopSort::Io},
    std::pair{"tasks", TopSort::Tasks},
    std::pair{"connections", TopSort::Connections},
    std::pair{"bytes", TopSort::Bytes},
};

struct Rate {
    const char* key;
    const char* counter;
    bool of_run; // the counter begins with each run
};
constexpr std::array byte_rates{
    Rate{"io_read_bytes_per_second", "io_read_bytes", true},
    Rate{"io_written_bytes_per_second", "io_written_bytes", true},
    Rate{"received_bytes_per_second", "received_bytes", false},
    Rate{"sent_bytes_per_second", "sent_bytes", false},
};

std::optional<double> number(const Json& row, std::string_view key) {
    return json::optional_member<double>(row, key);
}

// Nothing where neither is known.
std::optional<double> sum(const Json& row, std::string_view a, std::string_view b) {
    const auto first = number(row, a), second = number(row, b);
    if (!first && !second) return std::nullopt;
    return first.value_or(0) + second.value_or(0);
}

std::optional<double> io_rate(const Json& row) {
    return sum(row, "io_read_bytes_per_second", "io_written_bytes_per_second");
}

std::optional<double> sort_key(const Json& row, TopSort sort) {
    switch (sort) {
    case TopSort::Cpu:
        return number(row, "cpu_percent");
    case TopSort::Memory:
        return number(row, "memory_bytes");
    case TopSort::Io:
        return io_rate(row);
    case TopSort::Tasks:
        return number(row, "tasks");
    case TopSort::Connections:
        return number(row, "connections");
    case TopSort::Bytes:
        return sum(row, "received_bytes_per_second", "sent_bytes_per_second");
    }
    return std::nullopt;
}

// By how much a counter has risen; nothing where it began anew in between.
std::optional<double> rise(const Json& before, const Json& now, const char* counter) {
    const auto first = json::optional_member<std::uint64_t>(before, counter);
    const auto second = json::optional_member<std::uint64_t>(now, counter);
    if (!first || !second || *second < *first) return std::nullopt;
    return static_cast<double>(*second - *first);
}

bool is_running(const Json& row) {
    return json::member<std::string>(row, "state") == "running";
}

// Why it is not what it should be, in a few words: what it waits for, or how it ended.
std::string state_words(const Json& row) {
    const auto state = json::member<std::string>(row, "state");
    if (state == "lost") return "its node does not answer";
    if (const auto waits = json::member<std::string>(row, "waits_for"); !waits.empty()) return waits;
    const auto reason = row.find("reason");
    if (reason == row.end() || !reason->is_object()) return {};
    const auto restarts = json::member<std::uint64_t>(row, "restarts");
    if (state == "running" && restarts == 0) return {};
    const auto words = reason_text(reason_from_json(*reason));
    return state == "running" ? fmt::format("restarted {}x: {}", restarts, words) : words;
}

std::string bytes(std::optional<double> amount) {
    const Json document = amount ? Json{{"amount", *amount}} : Json::object();
    return cell_bytes(document, "amount");
}

struct Column {
    const char* title;
    std::string (*cell)(const Json&);
    bool right;
    int rank; // where there is no room, the highest goes first
};

constexpr std::array columns{
    Column{"NAME", [](const Json& row) { return cell(row, "name"); }, false, 0},
    Column{"NODE", [](const Json& row) { return cell(row, "node"); }, false, 8},
    Column{"STATE", [](const Json& row) { return cell(row, "state"); }, false, 3},
    Column{"CPU%", [](const Json& row) { return cell(row, "cpu_percent"); }, true, 1},
    Column{"MEMORY", [](const Json& row) { return cell_bytes(row, "memory_bytes"); }, true, 2},
    Column{"IO/s", [](const Json& row) { return bytes(io_rate(row)); }, true, 7},
    Column{"TASKS", [](const Json& row) { return cell(row, "tasks"); }, true, 9},
    Column{"CONN", [](const Json& row) { return cell(row, "connections"); }, true, 4},
    Column{"IN/s", [](const Json& row) { return bytes(number(row, "received_bytes_per_second")); }, true, 5},
    Column{"OUT/s", [](const Json& row) { return bytes(number(row, "sent_bytes_per_second")); }, true, 6},
};

constexpr std::size_t no_column = columns.size();
constexpr std::size_t gap = 2;

std::string padded(const std::string& text, std::size_t width, bool right) {
    const std::string space(width - std::min(width, text_width(text)), ' ');
    return right ? space + text : text + space;
}

// The columns that there is room for, and how wide they are; 0: it is left out.
std::array<std::size_t, columns.size()> widths_within(const std::vector<std::vector<std::string>>& cells,
                                                      std::size_t room) {
    std::array<std::size_t, columns.size()> widths{};
    for (const auto& row : cells)
        for (std::size_t i = 0; i < columns.size(); ++i)
            widths[i] = std::max(widths[i], text_width(row[i]));
    const auto total = [&] {
        std::size_t all = 0;
        for (const auto width : widths)
            if (width != 0) all += width + gap;
        return all - gap;
    };
    while (total() > room) {
        std::size_t worst = no_column;
        for (std::size_t i = 0; i < columns.size(); ++i)
            if (widths[i] != 0 && columns[i].rank > 0 &&
                (worst == no_column || columns[i].rank > columns[worst].rank))
                worst = i;
        if (worst == no_column) break;
        widths[worst] = 0;
    }
    return widths;
}

std::string summary(const Json& rows) {
    std::set<std::string> nodes;
    std::size_t running = 0;
    for (const auto& row : rows) {
        nodes.insert(cell(row, "node"));
        if (is_running(row)) ++running;
    }
    return fmt::format("{} on {}, {} running", counted(rows.size(), "process", "processes"),
                       counted(nodes.size(), "node", "nodes"), running);
}

std::string totals(const Json& rows) {
    const auto all = [&rows](auto value) {
        std::optional<double> total;
        for (const auto& row : rows)
            if (const auto one = value(row)) total = total.value_or(0) + *one;
        return total;
    };
    const auto of = [](const char* key) { return [key](const Json& row) { return number(row, key); }; };
    const auto cpu = all(of("cpu_percent"));
    const auto connections = all(of("connections"));
    return fmt::format("cpu {}  memory {}  io {}/s  connections {}  in {}/s  out {}/s",
                       cpu ? fmt::format("{:.1f}%", *cpu) : "-", bytes(all(of("memory_bytes"))),
                       bytes(all(io_rate)), connections ? fmt::format("{:.0f}", *connections) : "-",
                       bytes(all(of("received_bytes_per_second"))), bytes(all(of("sent_bytes_per_second"))));
}

// Those whose processes run and have no measurements.
std::string silent_nodes(const Json& rows) {
    std::set<std::string> silent;
    for (const auto& row : rows)
        if (is_running(row) && json::member<std::string>(row, "invocation").empty())
            silent.insert(cell(row, "node"));
    if (silent.empty()) return {};
    std::string names;
    for (const auto& name : silent)
        names += (names.empty() ? "" : ", ") + name;
    return fmt::format("not measured now: what runs on {}", names);
}

} // namespace

std::vector<std::string> top_sort_names() {
    std::vector<std::string> names;
    for (const auto& [name, sort] : sort_names)
        names.emplace_back(name);
    return names;
}

TopSort top_sort_from_name(std::string_view name) {
    for (const auto& [text, sort] : sort_names)
        if (text == name) return sort;
    return TopSort::Cpu;
}

Json TopRates::rates(const Json& before, const Json& now) {
    Json rates{{"cpu_percent", nullptr}};
    for (const auto& rate : byte_rates)
        rates[rate.key] = nullptr;
    const auto elapsed = rise(before, now, "measured_usec").value_or(0);
    if (elapsed <= 0 || before.at("node") != now.at("node")) return rates;
    const bool same_run =
        json::member<std::string>(before, "invocation") == json::member<std::string>(now, "invocation");
    if (const auto cpu = rise(before, now, "cpu_usec"); cpu && same_run)
        rates["cpu_percent"] = std::round(*cpu * 1000 / elapsed) / 10;
    for (const auto& rate : byte_rates)
        if (const auto moved = rise(before, now, rate.counter); moved && (same_run || !rate.of_run))
            rates[rate.key] = static_cast<std::uint64_t>(*moved * usec / elapsed);
    return rates;
}

Json TopRates::take(const Json& usage) {
    Json rows = Json::array();
    std::map<std::uint64_t, Sample> samples;
    for (const auto& counted : usage) {
        if (!counted.is_object()) continue;
        const auto id = json::member<std::uint64_t>(counted, "id");
        const auto before = last_.find(id);
        Sample sample{counted, {}};
        // Nobody has measured since: the rates are those that were.
        const auto at = number(counted, "measured_usec");
        if (before != last_.end() && at && at == number(before->second.counted, "measured_usec"))
            sample.rates = before->second.rates;
        else
            sample.rates = rates(before == last_.end() ? Json::object() : before->second.counted, counted);
        Json row = counted;
        for (const auto& field : usage_fields())
            row.emplace(std::string(field.key), nullptr);
        const auto cpu = number(counted, "cpu_usec");
        row["cpu_seconds"] = cpu ? Json(*cpu / usec) : Json(nullptr);
        row.update(sample.rates);
        row.erase("cpu_usec");
        row.erase("measured_usec");
        rows.push_back(std::move(row));
        samples.insert_or_assign(id, std::move(sample));
    }
    last_ = std::move(samples);
    return rows;
}

void sort_top(Json& rows, TopSort sort) {
    std::stable_sort(rows.begin(), rows.end(), [sort](const Json& a, const Json& b) {
        const auto first = sort_key(a, sort), second = sort_key(b, sort);
        if (first != second) return first.value_or(-1) > second.value_or(-1);
        return json::member<std::string>(a, "name") < json::member<std::string>(b, "name");
    });
}

std::vector<std::string> top_lines(const Json& rows, const TopView& view) {
    std::vector<std::string> lines{fmt::format("{}: {}", view.title, summary(rows)), totals(rows)};
    const auto trouble = view.trouble.empty() ? silent_nodes(rows) : view.trouble;
    if (!trouble.empty()) lines.push_back(trouble);
    lines.emplace_back();

    std::vector<std::vector<std::string>> cells(1);
    for (const auto& column : columns)
        cells.front().emplace_back(column.title);
    // The heading, and a line that says how many have no room.
    const auto room = view.lines - std::min(view.lines, lines.size() + 1);
    const auto shown = rows.size() <= room ? rows.size() : room - std::min<std::size_t>(room, 1);
    for (std::size_t i = 0; i < shown; ++i) {
        cells.emplace_back();
        for (const auto& column : columns)
            cells.back().push_back(column.cell(rows[i]));
    }
    const auto widths = widths_within(cells, view.columns);
    for (std::size_t i = 0; i < cells.size(); ++i) {
        std::string line;
        for (std::size_t c = 0; c < columns.size(); ++c) {
            if (widths[c] == 0) continue;
            if (c > 0) line.append(gap, ' ');
            line += padded(cells[i][c], widths[c], columns[c].right);
        }
        if (const auto words = i == 0 ? "" : state_words(rows[i - 1]); !words.empty()) line += "  " + words;
        lines.push_back(std::move(line));
    }
    if (shown < rows.size()) lines.push_back(fmt::format("... and {} more", rows.size() - shown));
    lines.resize(std::min(lines.size(), view.lines));
    for (auto& line : lines)
        line = first_columns(text::for_terminal(line), view.columns);
    return lines;
}

} // namespace p2prc::cli

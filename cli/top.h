// What `p2prc top` shows: rates from what nodes count, and a screen of them.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::cli {

enum class TopSort { Cpu, Memory, Io, Tasks, Connections, Bytes };

inline constexpr std::string_view default_top_sort = "cpu";
// In the order of TopSort.
std::vector<std::string> top_sort_names();
TopSort top_sort_from_name(std::string_view name);

// Remembers what it was given last, and finds out how fast the counters rise.
class TopRates {
  public:
    // Rows of ListUsage become those of `top -o json`: every key is there, with cpu_percent, cpu_seconds and
    // the *_per_second ones. A rate is null where two measurements of one run are not known.
    nlohmann::json take(const nlohmann::json& usage);

  private:
    struct Sample {
        nlohmann::json counted; // the row of ListUsage
        nlohmann::json rates;
    };
    static nlohmann::json rates(const nlohmann::json& before, const nlohmann::json& now);

    std::map<std::uint64_t, Sample> last_; // by id
};

// The largest first; what is not measured comes last.
void sort_top(nlohmann::json& rows, TopSort sort);

struct TopView {
    std::string title;   // what is watched, since when
    std::string trouble; // why the rows are not of now; empty: they are
    TopSort sort = TopSort::Cpu;
    std::size_t columns = 80;
    std::size_t lines = 24;
};

// Lines that fit, without their ends and without controls, whatever stands in the rows.
std::vector<std::string> top_lines(const nlohmann::json& rows, const TopView& view);

} // namespace p2prc::cli

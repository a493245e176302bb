// What is said of a process once p2prcd has done what was asked, by what its node reports.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::cli {

// A revision that was asked for, and what has come of it by now.
struct Revised {
    std::uint32_t number = 0; // 0: none was
    std::uint32_t again = 0;  // the one that it is again, after a rollback; 0: none
    bool redeployed = false;  // its deployer has run anew
    std::string outcome = {}; // "good", or "pending" where that is not known yet
    std::string next = {};    // what p2prcd will do about it by itself
    std::string why = {};     // it was not kept
};
// By the process, and by its history.
Revised revised(const nlohmann::json& process, const nlohmann::json& history, std::uint32_t number);

enum class Asked { Spin, Start };

struct Told {
    int status = 0; // of the command
    std::vector<std::string> lines = {};
    bool serves = false; // as it was asked to
};

// `verb` is said of one that is ready, such as "runs again"; with a revision, that says it.
Told how_it_is(const nlohmann::json& process, Asked asked, std::string_view verb, bool no_wait,
               const Revised& revision = {});

// What lets a paused process go on, and where; empty: it is not paused.
std::string resume_words(const nlohmann::json& process);

} // namespace p2prc::cli

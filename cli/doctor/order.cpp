// Which finding explains which.
#include "cli/doctor/check.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace p2prc::cli {
namespace {

// A finding whose subject begins with `effect` follows from one whose subject begins with `cause`, where both
// are wrong. The first row that fits counts.
struct Rule {
    std::string_view effect, cause;
};
constexpr std::array rules{
    Rule{"daemon", "p2prcd.service"},
    Rule{"p2prc-edge.service", "port "}, // another program holds it: what the edge needs to start
    Rule{"port ", "p2prc-edge.service"},
    Rule{"edge", "p2prc-edge.service"},
    Rule{"edge", "port "},
    Rule{"connector role ", "p2prc-connector.service"},
    Rule{"dns ", "p2prc-edge.service"},
    Rule{"dns ", "link"},
    Rule{"delegation ", "dns "},
    Rule{"tunnel ", "p2prc-connector.service"},
    Rule{"tunnel ", "p2prc-edge.service"},
    Rule{"tunnel ", "link"},
    Rule{"node ", "p2prc-edge.service"},
};

bool is_wrong(const Finding& finding) {
    return finding.state != CheckState::Ok;
}

// A port is a cause only if another program has it: a port that nobody has is what a stopped edge looks like.
bool explains(const Finding& cause, std::string_view subject) {
    if (!cause.subject.starts_with(subject) || cause.state != CheckState::Fail) return false;
    return subject != "port " || cause.detail.starts_with("held by");
}

const Finding* cause_of(const Finding& effect, const Findings& all) {
    if (!is_wrong(effect) || (effect.subject.starts_with("port ") && explains(effect, "port ")))
        return nullptr;
    for (const auto& rule : rules) {
        if (!effect.subject.starts_with(rule.effect)) continue;
        for (const auto& cause : all)
            if (&cause != &effect && explains(cause, rule.cause)) return &cause;
    }
    return nullptr;
}

// `depth` bounds the recursion: rules may form a circle.
void append(const Finding& finding, const Findings& all, Findings& ordered, int depth) {
    ordered.push_back(finding);
    if (depth == 0) return;
    for (const auto& other : all)
        if (other.because == finding.subject) append(other, all, ordered, depth - 1);
}

} // namespace

Findings in_order(Findings findings) {
    std::ranges::stable_sort(findings, std::ranges::greater{}, &Finding::state);
    for (auto& finding : findings)
        if (const auto* cause = cause_of(finding, findings)) finding.because = cause->subject;
    Findings ordered;
    for (const auto& finding : findings)
        if (finding.because.empty()) append(finding, findings, ordered, 4);
    return ordered;
}

} // namespace p2prc::cli

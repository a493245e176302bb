#include "daemon/api/details.h"

#include "core/json_members.h"
#include "core/names.h"
#include "core/text.h"

#include <fmt/format.h>

namespace p2prc::daemon {

namespace {

std::string text_of(const Json& arguments, const char* name) {
    const auto found = arguments.find(name);
    return found != arguments.end() && found->is_string() ? text::excerpt(found->get<std::string>()) : "";
}

void add_process(PolkitDetails& details, const std::string& given, const View& view) {
    if (given.empty()) return;
    const auto record = view.find_process(given);
    details["process"] = record ? record->name : given;
    if (record) details["node"] = record->node;
}

// The word of the prompt, where it is not the verb.
std::string_view word_of(std::string_view verb) {
    if (verb == "spin") return "run";
    if (verb == "logs") return "read the logs of";
    return verb;
}

std::string subject_of(const PolkitDetails& details) {
    const auto get = [&](const char* key) {
        const auto found = details.find(key);
        return found == details.end() ? std::string() : found->second;
    };
    const std::string domain = get("domain"), process = get("process"), node = get("node");
    if (!domain.empty() && !process.empty())
        return fmt::format("domain '{}' to process '{}'", domain, process);
    if (!domain.empty()) return fmt::format("domain '{}'", domain);
    if (!process.empty() && !node.empty()) return fmt::format("process '{}' on {}", process, node);
    if (!process.empty()) return fmt::format("process '{}'", process);
    return node.empty() ? "" : fmt::format("node '{}'", node);
}

} // namespace

PolkitDetails details_of(const MethodInfo& info, const Json& arguments, const View& view) {
    if (info.permission.right != Right::Polkit) return {};
    PolkitDetails details{{"verb", std::string(info.verb)}};
    if (const auto spec = arguments.find("spec"); spec != arguments.end()) {
        details["process"] = text_of(*spec, "name");
        const auto node = text_of(arguments, "node");
        details["node"] = node.empty() ? view.node() : node;
    } else if (const auto domain = text_of(arguments, "domain"); !domain.empty()) {
        details["domain"] = normalize_domain(domain).value_or(domain);
        if (const auto process = text_of(arguments, "process"); !process.empty())
            details["process"] = process;
    } else if (const auto node = text_of(arguments, "node"); !node.empty()) {
        details["node"] = node;
    } else {
        add_process(details, text_of(arguments, "process"), view);
    }
    std::erase_if(details, [](const auto& detail) { return detail.second.empty(); });
    if (const auto subject = subject_of(details); !subject.empty())
        details["polkit.message"] =
            fmt::format("Authentication is required to {} {}", word_of(info.verb), subject);
    return details;
}

} // namespace p2prc::daemon

#include "daemon/api/reported_checks.h"

#include "core/json_members.h"
#include "core/machine_role.h"
#include "core/text.h"

#include <array>
#include <utility>

namespace p2prc::daemon {
namespace {

constexpr std::size_t most_checks = 16;
constexpr std::size_t longest_excerpt = 300;

struct Fix {
    std::string_view subject, words;
};
constexpr std::array fixes{
    Fix{"disk", "free some space on the file system of /var/lib/p2prc"},
    Fix{"settings", "correct the file; then: systemctl reload p2prcd"},
    Fix{"clock", "synchronise this clock and the root's with a time service: timedatectl set-ntp true"},
    Fix{"memory limits",
        "add cgroup_enable=memory to the kernel's command line (Raspberry Pi: cmdline.txt in /boot/firmware "
        "or /boot) and reboot; in a container, its host must delegate the memory controller"},
    Fix{"ACME client", "install the package uacme"},
    Fix{"port", "stop the program that holds it, or move it to another port; then: systemctl restart "
                "p2prc-edge.socket "
                "p2prc-edge.service"},
    Fix{"public address", "forward the three ports to this machine; if its public address has changed: "
                          "p2prc init --public-ip ADDRESS"},
};

std::string check_fix(std::string_view subject, bool root) {
    for (const auto role : {MachineRole::Edge, MachineRole::Connector})
        if (subject == role_subject(role)) return how_to_turn_roles_on(root);
    if (subject.starts_with("port ")) subject = "port";
    for (const auto& fix : fixes)
        if (fix.subject == subject) return std::string(fix.words);
    return "p2prc doctor"; // a check of a later version
}

std::string excerpt_of(const Json& document, std::string_view key) {
    return text::excerpt(json::member<std::string>(document, key), longest_excerpt);
}

} // namespace

std::vector<ReportedCheck> reported_checks(const View& view, const std::string& node) {
    std::vector<ReportedCheck> list;
    const auto info = view.get(keys::node_info(node));
    if (!info || !info->is_object()) return list;
    const auto checks = info->find("checks");
    if (checks == info->end() || !checks->is_array()) return list;
    const auto* fleet = view.fleet();
    for (const auto& check : *checks) {
        if (list.size() == most_checks) break;
        auto subject = excerpt_of(check, "subject");
        auto fix = check_fix(subject, fleet && node == fleet->root);
        list.push_back({json::member<std::string>(check, "state"), std::move(subject),
                        excerpt_of(check, "detail"), std::move(fix)});
    }
    return list;
}

} // namespace p2prc::daemon

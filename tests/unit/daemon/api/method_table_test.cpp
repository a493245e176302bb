// The tables of methods, and whatever else describes them: the interface files, the manual and the policy.
#include "daemon/api/domain_methods.h"
#include "daemon/api/fleet_methods.h"
#include "daemon/api/helpers.h"
#include "daemon/api/objects.h"
#include "daemon/api/process_methods.h"
#include "tests/unit/support/source_dir.h"

#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace p2prc::daemon {
namespace {

template <class Family>
void add(std::vector<MethodInfo>& all) {
    for (const auto& row : Family::rows())
        all.push_back(row.info);
}

std::vector<MethodInfo> all_methods() {
    std::vector<MethodInfo> all;
    add<ProcessMethods>(all);
    add<DomainMethods>(all);
    add<FleetMethods>(all);
    add<Helpers>(all);
    return all;
}

std::string file(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(test::source_path(path)).rdbuf();
    return text.str();
}

// As the manual names it: "StopProcess" of the manager, "process.Stop" of an object.
std::string name_of(const MethodInfo& info) {
    std::string kind(info.interface);
    kind[0] = static_cast<char>(std::tolower(kind[0]));
    return (kind == "manager" ? "" : kind + ".") + std::string(info.member);
}

std::vector<std::string> lines_from(const std::string& text, const std::string& begin) {
    std::vector<std::string> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(begin)) found.push_back(line);
    return found;
}

std::string attribute(const std::string& tag, const std::string& name) {
    std::smatch found;
    return std::regex_search(tag, found, std::regex(" " + name + "=\"([^\"]*)\"")) ? found[1].str() : "";
}

// "spec a{sv} in, object o out" of the methods in an interface file.
std::map<std::string, std::string> methods_in_file(const std::string& interface) {
    std::map<std::string, std::string> methods;
    std::string* current = nullptr;
    const std::string xml = file("dbus/interfaces/org.p2prc1." + interface + ".xml");
    const std::regex tag("<(method|arg|signal|property) [^>]*>");
    for (std::sregex_iterator it(xml.begin(), xml.end(), tag), end; it != end; ++it) {
        const std::string text = (*it)[0], kind = (*it)[1];
        if (kind == "method")
            current = &methods[attribute(text, "name")];
        else if (kind != "arg")
            current = nullptr;
        else if (current)
            *current += (current->empty() ? "" : ", ") + attribute(text, "name") + " " +
                        attribute(text, "type") + " " + attribute(text, "direction");
    }
    return methods;
}

std::string as_in_file(const MethodInfo& info) {
    std::string text;
    for (const auto& [arguments, direction] : {std::pair(info.in, "in"), std::pair(info.out, "out")})
        for (const auto& argument : read_arguments(arguments))
            text += (text.empty() ? "" : ", ") + argument.name + " " + argument.type + " " + direction;
    return text;
}

TEST(MethodTable, IsWhatTheInterfaceFilesSay) {
    std::map<std::string, std::map<std::string, std::string>> tables;
    for (const MethodInfo& info : all_methods()) {
        auto& table = tables[std::string(info.interface)];
        EXPECT_TRUE(table.emplace(std::string(info.member), as_in_file(info)).second) << info.member;
    }
    EXPECT_EQ(tables.size(), 6U);
    for (const auto& [interface, methods] : tables)
        EXPECT_EQ(methods, methods_in_file(interface)) << interface;
}

TEST(MethodTable, EveryOptionIsInTheInterfaceFileAndTheManual) {
    const std::string manual = file("docs/dbus.md");
    for (const MethodInfo& info : all_methods()) {
        if (info.in.find("options") == std::string_view::npos) {
            EXPECT_TRUE(info.options.empty()) << info.member;
            continue;
        }
        EXPECT_TRUE(info.in.ends_with("a{sv} options")) << info.member << ": options come last";
        const std::string xml = file("dbus/interfaces/org.p2prc1." + std::string(info.interface) + ".xml");
        const auto begin = xml.find("      " + std::string(info.member) + ":\n");
        ASSERT_NE(begin, std::string::npos) << info.member;
        const std::string comment = xml.substr(begin, xml.find("-->", begin) - begin);
        for (const auto& option : read_arguments(info.options)) {
            EXPECT_NE(comment.find(option.name + " " + option.type), std::string::npos)
                << info.member << ": " << option.name;
            EXPECT_NE(manual.find("`" + option.name + "` " + option.type), std::string::npos) << option.name;
        }
    }
}

// Whatever changes something can be asked with options, and those that cannot are there for older programs.
TEST(MethodTable, WhatAsksPolkitTakesOptions) {
    std::set<std::string> members;
    for (const MethodInfo& info : all_methods())
        members.insert(name_of(info));
    for (const MethodInfo& info : all_methods()) {
        if (info.permission.right != Right::Polkit || info.in.ends_with("options")) continue;
        EXPECT_TRUE(members.contains(name_of(info) + "WithOptions")) << name_of(info);
    }
}

TEST(MethodTable, RightsAreThoseOfTheManualAndThePolicy) {
    const std::string manual = file("docs/dbus.md"), policy = file("dbus/org.p2prc1.policy");
    std::set<std::string> in_table, in_manual;
    for (const MethodInfo& info : all_methods()) {
        const std::string action(info.permission.action), verb(info.verb);
        EXPECT_EQ(info.permission.right == Right::Polkit, !action.empty()) << info.member;
        EXPECT_EQ(info.permission.right == Right::Polkit, !verb.empty()) << info.member;
        if (action.empty()) continue;
        in_table.insert(name_of(info));
        const auto rows = lines_from(manual, "| `org.p2prc1." + action + "` | `" + verb + "` |");
        ASSERT_EQ(rows.size(), 1U) << action << " " << verb;
        EXPECT_NE(rows[0].find("`" + name_of(info) + "`"), std::string::npos) << name_of(info);
        EXPECT_NE(policy.find("<action id=\"org.p2prc1." + action + "\">"), std::string::npos) << action;
    }
    const std::regex name("`([a-z]+[.])?[A-Z][A-Za-z]+`");
    for (const std::string& row : lines_from(manual, "| `org.p2prc1."))
        for (std::sregex_iterator it(row.begin(), row.end(), name), end; it != end; ++it)
            in_manual.insert(it->str().substr(1, it->length() - 2));
    EXPECT_EQ(in_table, in_manual);
}

// "node_object" -> "NodeObject: That node's object."
TEST(PropertyTable, IsDescribedInTheInterfaceFiles) {
    const std::pair<const char*, std::span<const Field>> tables[] = {
        {"Process", process_fields()}, {"Node", node_fields()}, {"Domain", domain_fields()}};
    for (const auto& [interface, fields] : tables) {
        const std::string xml = std::regex_replace(
            file(std::string("dbus/interfaces/org.p2prc1.") + interface + ".xml"), std::regex("\\s+"), " ");
        for (const Field& field : fields) {
            const std::string comment =
                "<!-- " + property_name(field.key) + ": " + std::string(field.documentation) + " -->";
            EXPECT_EQ(xml.find(comment) != std::string::npos, field.is_property()) << comment;
        }
    }
}

TEST(MethodTable, ArgumentsAreRead) {
    EXPECT_TRUE(read_arguments("").empty());
    const auto arguments = read_arguments("a{sv} spec, s node");
    ASSERT_EQ(arguments.size(), 2U);
    EXPECT_EQ(arguments[0].type, "a{sv}");
    EXPECT_EQ(arguments[0].name, "spec");
    EXPECT_EQ(arguments[1].name, "node");
}

} // namespace
} // namespace p2prc::daemon

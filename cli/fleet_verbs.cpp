// init, invite, join, leave, nodes, fleet.
#include "cli/custom.h"
#include "cli/daemon.h"
#include "cli/explain.h"
#include "cli/node_table.h"
#include "cli/output.h"
#include "cli/public_addresses.h"
#include "cli/usage.h"
#include "cli/verbs.h"
#include "core/drain.h"
#include "core/duration.h"
#include "core/labels.h"
#include "net/openssl.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <istream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace p2prc::cli {
namespace {

struct InitOptions {
    std::string name;
    std::string domain;
    std::vector<std::string> public_ips;
    std::string acme;
};

constexpr std::uint64_t longest_invitation = 30 * 86400; // seconds; the registry refuses longer ones

constexpr const char* letsencrypt_directory = "https://acme-v02.api.letsencrypt.org/directory";

// Terms are agreed to by a person, never by a program: asked on a terminal only.
std::string ask_for_acme() {
    std::fputs("Certificates: [1] the fleet's own certificate authority (browsers warn until they trust it)\n"
               "              [2] Let's Encrypt (you agree to its subscriber agreement, "
               "letsencrypt.org/repository)\n"
               "Choose [1]: ",
               stderr);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "2" ? "letsencrypt" : "none";
}

Result<int> init(InitOptions options, Context& context) {
    const bool root = !options.domain.empty() || !options.public_ips.empty();
    Daemon daemon;
    // Asked once, when the fleet gets its zone; what is not said leaves it as it is.
    if (root && options.acme.empty() && isatty(0) && isatty(2) && !context.json) {
        const auto status = daemon.call(&dbus::Client::status);
        if (!status) return std::unexpected(status.error());
        if (cell(status->value("fleet", Json::object()), "zone") == "-") options.acme = ask_for_acme();
    }
    if (options.acme == "letsencrypt") options.acme = letsencrypt_directory;
    Json settings = Json::object();
    if (!options.name.empty()) settings["name"] = options.name;
    if (!options.domain.empty()) settings["domain"] = options.domain;
    if (!options.public_ips.empty()) settings["public_ips"] = options.public_ips;
    if (!options.acme.empty()) settings["acme"] = options.acme;
    auto fleet = daemon.call(&dbus::Client::init, settings);
    if (!fleet) return std::unexpected(fleet.error());
    if (context.json) {
        print(*fleet);
        return 0;
    }
    note(fmt::format("this node is '{}'", cell(*fleet, "name")));
    if (!options.domain.empty() && options.public_ips.empty()) note(found_addresses_text(*fleet));
    if (fleet->contains("records") && !(*fleet)["records"].empty()) {
        note("add these DNS records at your domain registrar:");
        for (const auto& record : (*fleet)["records"])
            print_line(
                fmt::format("{} {} {}", cell(record, "name"), cell(record, "type"), cell(record, "data")));
        const auto servers = std::ranges::count_if(
            (*fleet)["records"], [](const Json& record) { return cell(record, "type") == "NS"; });
        if (servers == 1)
            note("some registries want two name servers: give this machine a second address and name both "
                 "(p2prc init --public-ip A --public-ip B), or delegate a name below a domain that is hosted "
                 "elsewhere");
    }
    if (const auto hint = cell(*fleet, "hint"); hint != "-") note(hint);
    return 0;
}

Result<int> invite(const std::string& role, const std::string& expires, Context& context) {
    if (role == "guest")
        return fail(ErrorCode::NotSupported, "the role guest is not in this version", "use --role member");
    Daemon daemon;
    auto invitation = daemon.call(&dbus::Client::invite,
                                  Json{{"role", role}, {"expires_seconds", *parse_duration(expires)}});
    if (!invitation) return std::unexpected(invitation.error());
    if (context.json) {
        print(*invitation);
        return 0;
    }
    print_line(cell(*invitation, "token"));
    note(fmt::format("on the new machine, run: sudo p2prc join TOKEN (valid for one machine, until {})",
                     cell(*invitation, "expires")));
    return 0;
}

constexpr std::size_t longest_token = 4096; // many times what p2prc invite prints
constexpr const char* token_hint = "a token begins with p2prc1_; p2prc invite prints one";

// The first line that is not empty, without the spaces around it.
std::string first_line(std::istream& input) {
    constexpr const char* spaces = " \t\r";
    std::string line;
    for (auto c = input.get(); input && line.size() <= longest_token; c = input.get()) {
        if (c != '\n')
            line.push_back(static_cast<char>(c));
        else if (line.find_first_not_of(spaces) != std::string::npos)
            break;
        else
            line.clear();
    }
    line.erase(line.find_last_not_of(spaces) + 1);
    line.erase(0, line.find_first_not_of(spaces));
    return line;
}

// p2prcd judges a token; what is no word at all cannot be sent there: D-Bus refuses what is not UTF-8.
bool can_be_token(std::string_view text) {
    return text.size() <= longest_token &&
           std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

Result<int> join(std::string token, const std::string& name, Context& context) {
    // A token on the command line is visible to every user of the machine (ps); `-` reads it instead.
    if (token == "-") {
        token = first_line(std::cin);
        if (token.empty())
            return fail(ErrorCode::InvalidSpec, "there is no token on standard input", token_hint);
    }
    if (!can_be_token(token)) return fail(ErrorCode::InvalidSpec, "this is not a join token", token_hint);
    Daemon daemon;
    auto joined = daemon.call(&dbus::Client::join, token, name);
    if (!joined) return std::unexpected(joined.error());
    if (context.json)
        print(*joined);
    else
        note(fmt::format("joined as '{}'; the link is up", cell(*joined, "name")));
    return 0;
}

Result<int> leave(bool force, Context& context) {
    Daemon daemon;
    if (auto left = daemon.call(&dbus::Client::leave, force); !left) return std::unexpected(left.error());
    if (context.json)
        print(Json::object());
    else
        note("left the fleet; processes here keep running, but their domains are not public any more");
    return 0;
}

Result<int> list_nodes(Context& context) {
    Daemon daemon;
    auto nodes = daemon.call(&dbus::Client::nodes);
    if (!nodes) return std::unexpected(nodes.error());
    if (context.json) {
        print(std::move(*nodes), node_fields());
        return 0;
    }
    print(node_table(*nodes));
    daemon.note_if_out_of_date();
    return 0;
}

Result<int> show_node(const std::string& name, Context& context) {
    Daemon daemon;
    auto nodes = daemon.call(&dbus::Client::nodes);
    if (!nodes) return std::unexpected(nodes.error());
    const auto node = find_node(*nodes, name);
    if (!node) return std::unexpected(node.error());
    if (context.json) {
        print(*node, node_fields());
        return 0;
    }
    print(one_node_table(*node));
    daemon.note_if_out_of_date();
    return 0;
}

Result<int> remove_node(const std::string& name, Context& context) {
    Daemon daemon;
    if (auto removed = daemon.call(&dbus::Client::remove_node, name); !removed)
        return std::unexpected(removed.error());
    if (context.json)
        print(Json{{"name", name}});
    else
        note(fmt::format("'{}' is removed and its key revoked", name));
    return 0;
}

// KEY, KEY=VALUE, and KEY- for one that is to go.
Result<int> label_node(const std::string& name, const std::vector<std::string>& words, Context& context) {
    Json set = Json::object(), remove = Json::array();
    for (const auto& word : words) {
        const bool gone = word.ends_with('-') && word.find('=') == std::string::npos;
        const auto label = parse_label(gone ? word.substr(0, word.size() - 1) : word);
        if (!label) return std::unexpected(label.error());
        if (gone)
            remove.push_back(label->first);
        else
            set[label->first] = label->second;
    }
    Daemon daemon;
    if (auto done = daemon.call(&dbus::Client::label_node, name, set, remove); !done)
        return std::unexpected(done.error());
    if (context.json)
        print(Json{{"name", name}, {"set", set}, {"removed", remove}});
    else
        note(fmt::format("'{}' is labelled anew", name));
    return 0;
}

Result<int> resume_node(const std::string& name, Context& context) {
    Daemon daemon;
    if (auto done = daemon.call(&dbus::Client::resume_node, name); !done)
        return std::unexpected(done.error());
    if (context.json)
        print(Json{{"name", name}});
    else
        note(fmt::format("'{}' takes processes again; what was moved stays where it is", name));
    return 0;
}

Result<int> print_ca(Context& context) {
    Daemon daemon;
    const auto received = daemon.call(&dbus::Client::fleet_certificate);
    if (!received) return std::unexpected(received.error());
    // It comes from the root, and people put it where programs trust it.
    const auto certificate = net::plain_certificate(*received);
    if (!certificate)
        return fail(ErrorCode::Failed, "the root's answer is not a certificate",
                    "do not trust this root; see p2prc status there");
    if (context.json)
        print(Json{{"certificate", *certificate}});
    else
        fmt::print("{}", *certificate);
    return 0;
}

} // namespace

void add_fleet_verbs(CLI::App& app, Action& action) {
    auto* init_verb = app.add_subcommand(
        "init",
        "create a fleet; with --domain and --public-ip this machine becomes its public server (the root)");
    auto options = std::make_shared<InitOptions>();
    init_verb->add_option("--name", options->name, "this node's name; default: the host's")
        ->type_name("NODE");
    init_verb
        ->add_option("--domain", options->domain, "the zone that this node answers for, such as home.example")
        ->type_name("ZONE");
    init_verb
        ->add_option("--public-ip", options->public_ips, "a public address of this node; may be repeated")
        ->type_name("ADDRESS")
        ->allow_extra_args(false);
    init_verb->add_option("--acme", options->acme, "the URL of an ACME directory, letsencrypt, or none")
        ->type_name("SOURCE");
    init_verb->callback([&action, options] { action = [options](Context& c) { return init(*options, c); }; });

    auto* invite_verb = app.add_subcommand("invite", "print a token with which one machine can join");
    auto role = std::make_shared<std::string>("member");
    auto expires = std::make_shared<std::string>("1h");
    invite_verb->add_option("--role", *role, "what it may do; default: member")
        ->type_name("ROLE")
        ->check(one_of({"member", "owner"}, {"guest"}));
    invite_verb
        ->add_option("--expires", *expires,
                     "how long the token is valid, such as 15m, 1h (default) or 7d; at most 30d")
        ->type_name("TIME")
        ->check(time_up_to(longest_invitation));
    invite_verb->callback([&action, role, expires] {
        action = [role, expires](Context& c) { return invite(*role, *expires, c); };
    });

    auto* join_verb = app.add_subcommand("join", "join a fleet; processes already running here join too");
    auto token = std::make_shared<std::string>();
    auto name = std::make_shared<std::string>();
    join_verb->add_option("TOKEN", *token, "the token of p2prc invite, or - to read it from standard input")
        ->required();
    join_verb->add_option("--name", *name, "this node's name in the fleet; default: its current name")
        ->type_name("NODE");
    join_verb->callback(
        [&action, token, name] { action = [token, name](Context& c) { return join(*token, *name, c); }; });

    auto* leave_verb = app.add_subcommand("leave", "leave the fleet; processes here keep running");
    auto force = std::make_shared<bool>(false);
    leave_verb->add_flag("--force", *force, "leave even if the root cannot be reached");
    leave_verb->callback([&action, force] { action = [force](Context& c) { return leave(*force, c); }; });

    auto* nodes = app.add_subcommand("nodes", "list the nodes");
    nodes->require_subcommand(0, 1);
    nodes->callback([&action, nodes] {
        if (nodes->get_subcommands().empty()) action = list_nodes;
    });
    auto node_name = std::make_shared<std::string>();
    auto* show = nodes->add_subcommand("show", "show one node");
    show->add_option("NAME", *node_name, "the node")->required();
    show->callback(
        [&action, node_name] { action = [node_name](Context& c) { return show_node(*node_name, c); }; });
    auto* remove = nodes->add_subcommand("rm", "remove a node and revoke its key");
    remove->add_option("NAME", *node_name, "the node")->required();
    remove->callback(
        [&action, node_name] { action = [node_name](Context& c) { return remove_node(*node_name, c); }; });

    auto* label =
        nodes->add_subcommand("label", "set or remove labels, for placement.require of process files");
    auto labels = std::make_shared<std::vector<std::string>>();
    label->add_option("NAME", *node_name, "the node")->required();
    label->add_option("LABEL", *labels, "KEY or KEY=VALUE sets it, KEY- removes it")->required();
    label->callback([&action, node_name, labels] {
        action = [node_name, labels](Context& c) { return label_node(*node_name, *labels, c); };
    });
    auto* custom = nodes->add_subcommand("custom", "store information of your own about a node");
    auto file = std::make_shared<std::string>();
    custom->add_option("NAME", *node_name, "the node")->required();
    custom->add_option("FILE.json", *file, "a JSON object of texts, or - for standard input")->required();
    custom->callback([&action, node_name, file] {
        action = [node_name, file](Context& c) {
            return store_custom(&dbus::Client::set_node_custom, "name", *node_name, *file, c);
        };
    });

    auto* drain =
        nodes->add_subcommand("drain", "place no processes on a node any more, and move those without data");
    auto dry_run = std::make_shared<bool>(false);
    auto deadline = std::make_shared<std::string>();
    drain->add_option("NAME", *node_name, "the node")->required();
    drain->add_flag("--dry-run", *dry_run, "only say what would be moved, and what would stay");
    drain
        ->add_option("--deadline", *deadline,
                     "for how long to try again what cannot be moved at the moment, such as 30m; at most 24h")
        ->type_name("TIME")
        ->check(time_up_to(longest_drain.count()))
        ->excludes(drain->get_option("--dry-run"));
    drain->callback([&action, node_name, dry_run, deadline] {
        action = [node_name, dry_run, deadline](Context& c) {
            return drain_node(*node_name, *dry_run, *deadline, c);
        };
    });
    auto* resume = nodes->add_subcommand("resume", "let a node that was drained have processes again");
    resume->add_option("NAME", *node_name, "the node")->required();
    resume->callback(
        [&action, node_name] { action = [node_name](Context& c) { return resume_node(*node_name, c); }; });

    auto* fleet = app.add_subcommand("fleet", "the fleet's certificate authority (CA)");
    fleet->require_subcommand(1);
    fleet->add_subcommand("ca", "print the CA's certificate, in PEM")->callback([&action] {
        action = print_ca;
    });
}

} // namespace p2prc::cli

#include "core/fields.h"

#include <algorithm>
#include <array>

namespace p2prc {
namespace {

using enum FieldType;

constexpr std::array remedy{
    Field{"reason", String, "s", true, "The kind of stop, such as exit-code."},
    Field{"step", String, "s", true, "Only at this step."},
    Field{"code", Integer, "i", true, "Only with this code."},
    Field{"action", String, "s", true, "restart, redeploy, move, rollback, notify or none."},
};

constexpr std::array spec{
    Field{"name", String, "s", true,
          "The process's name, unique in the fleet: a-z, 0-9 and '-', at most 42 long."},
    Field{"port", Integer, "u", true,
          "The port it listens on at 127.0.0.1. 0: one is chosen, remembered and passed as $PORT. Absent: "
          "none."},
    Field{"ports", IntegerList, "au", true, "Further ports that it may bind on its node."},
    Field{"domain", String, "s", true, "A domain that is mapped to it when it is spun."},
    Field{"deploy.strategy", String, "s", true, "The deployer that prepares what the process needs."},
    Field{"deploy.script", String, "s", true, "The deployer's input."},
    Field{"run.command", Command, "as", true, "The command: a list of words, or one string that sh -c runs."},
    Field{"run.kill", StringList, "as", true, "A command that stops it; default: systemd's own stop."},
    Field{"run.user", String, "s", true, "A user of the machine to run as; default: a user of its own."},
    Field{"run.root", String, "s", true,
          "A directory of the machine that it sees as \"/\"; default: the machine's own."},
    Field{"run.environment", StringMap, "a{ss}", true, "Environment variables. Not for secrets."},
    Field{"run.credentials", StringMap, "a{ss}", true,
          "Secrets: NAME = absolute path of a file on the node, readable in $CREDENTIALS_DIRECTORY/NAME."},
    Field{"run.restart", String, "s", true, "When it is started again: always, on-failure (default) or no."},
    Field{"run.data", Boolean, "b", true, "Whether it keeps a directory of data (default: yes)."},
    Field{"limits.memory", Size, "s", true, "Most memory: bytes, or with K, M, G or T (1024 based)."},
    Field{"limits.cpu", String, "s", true, "Most processor time: 150% is one and a half processors."},
    Field{"limits.tasks", Integer, "u", true, "Most threads and processes."},
    Field{"ready.http", String, "s", true, "It is ready when a GET of this path is answered with 200-399."},
    Field{"ready.port", Boolean, "b", true, "It is ready when it listens at its port."},
    Field{"ready.notify", Boolean, "b", true, "It is ready when it says so to systemd, by sd_notify(3)."},
    Field{"ready.command", Command, "as", true, "It is ready when this command exits with status 0."},
    Field{"ready.timeout", String, "s", true, "How long it may take to become ready (60s)."},
    Field{"live.http", String, "s", true, "It is healthy while a GET of this path is answered with 200-399."},
    Field{"live.port", Boolean, "b", true, "It is healthy while it listens at its port."},
    Field{"live.command", Command, "as", true, "It is healthy while this command exits with status 0."},
    Field{"live.every", String, "s", true, "How often it is asked (30s)."},
    Field{"live.failures", Integer, "u", true, "How many failures in a row make it unhealthy (3)."},
    Field{"update.order", String, "s", true,
          "stop-first (default), or start-first: the new revision serves before the old one is stopped."},
    Field{"update.hold", String, "s", true,
          "How long clients at the edge wait for it while it is on its way: 0s to 60s (default: 10s)."},
    Field{"update.snapshot", Boolean, "b", true,
          "Whether its data is copied before an update, and put back where that is not kept."},
    Field{"placement.nodes", StringList, "as", true, "Only these nodes, in order of preference."},
    Field{"placement.require.arch", String, "s", true, "The node's architecture, as uname -m prints it."},
    Field{"placement.require.memory", Size, "s", true, "Memory that is free there."},
    Field{"placement.require.disk", Size, "s", true, "Disk space that is free there, where data lies."},
    Field{"placement.require.gpu", Boolean, "b", true, "Whether it needs a graphics processor."},
    Field{"placement.require.label", Command, "as", true, "Labels of the node: \"ssd\" or \"disk=ssd\"."},
    Field{"placement.require.task_type", StringList, "as", false, "Kinds of tasks that the node takes."},
    Field{"placement.on_node_loss", String, "s", false, "wait (default) or move."},
    Field{"placement.max_age", String, "s", false, "Oldest copy of its data that a failover may take."},
    Field{"placement.exclusive", Boolean, "b", false,
          "Whether it may never run twice at once (default: no)."},
    Field{"remedy", TableList, "aa{sv}", true, "What to do about a kind of stop.", Shown::Everywhere,
          &remedy_fields},
};

constexpr std::array process{
    Field{"object", Object, "o", true, "Its object.", Shown::InRows},
    Field{"id", Integer, "u", true, "The process id, unique in the fleet and never used again."},
    Field{"name", String, "s", true, "Its name."},
    Field{"node", String, "s", true, "The node that it runs on."},
    Field{"node_object", Object, "o", true, "That node's object.", Shown::OnBus},
    Field{"ip", String, "s", true, "An address of that node."},
    Field{"port", Integer, "u", true, "The port it listens on."},
    Field{"domain", String, "s", true, "The first domain that is mapped to it."},
    Field{"domains", StringList, "as", true, "All domains that are mapped to it."},
    Field{"status", Boolean, "b", true, "Whether it runs."},
    Field{"state", String, "s", true,
          "starting, running, stopping, stopped, failed, deploying, updating, paused or lost."},
    Field{"ready", Boolean, "b", true,
          "Whether it is ready, as its file says; by default: its port is listened at by itself; without a "
          "port, it has run for two seconds."},
    Field{"waits_for", String, "s", true, "What it lacks to be ready."},
    Field{"deployment", Table, "a{sv}", true, "How it is deployed: strategy and script."},
    Field{"run_command", String, "s", true,
          "Its command, as one would type it; where its file has none, what its deployer said."},
    Field{"kill_command", String, "s", true, "The command that stops it."},
    Field{"memory_bytes", Integer, "t", true, "Memory that it uses now."},
    Field{"cpu_seconds", Number, "d", true, "Processor time that it has used."},
    Field{"restarts", Integer, "u", true, "How often it was started again."},
    Field{"since", String, "s", true, "When it entered its state, RFC 3339."},
    Field{"since_timestamp", Time, "t", true, "When it entered its state.", Shown::OnBus},
    Field{"reason", Table, "a{sv}", true, "Why it stopped the last time, as its node reported it.",
          Shown::Everywhere, &reason_fields},
    Field{"epoch", Integer, "t", true, "Counts the nodes that it has belonged to."},
    Field{"digest", String, "s", true, "SHA-256 of its specification."},
    Field{"revision", Integer, "u", true, "The revision of its specification; an update is the next one."},
    Field{"next", String, "s", true, "What p2prc will do about it by itself."},
    Field{"custom", Table, "a{sv}", true, "Custom information: texts."},
};

constexpr std::array history{
    Field{"revision", Integer, "u", true, "A revision of its specification."},
    Field{"outcome", String, "s", true, "good, rolled-back, failed, superseded or pending."},
    Field{"data", String, "s", true,
          "What its update did with the data: copied, not copied and why, put back, not put back and why."},
    Field{"snapshot", Boolean, "b", true, "Whether an update to it copies the data first."},
    Field{"rollback_of", Integer, "u", true, "The revision that a rollback has made it of."},
    Field{"by", String, "s", true, "Who made it."},
    Field{"stop", String, "s", true, "Or a stop: its kind."},
    Field{"node", String, "s", true, "Where it stopped."},
    Field{"epoch", Integer, "t", true, "The epoch in which it stopped."},
    Field{"at", String, "s", true, "When, RFC 3339."},
    Field{"at_timestamp", Time, "t", true, "When.", Shown::OnBus},
    Field{"digest", String, "s", true, "SHA-256 of the specification."},
    Field{"reason", Table, "a{sv}", true, "Why the revision was not kept, or why it stopped.",
          Shown::Everywhere, &reason_fields},
};

constexpr std::array reason{
    Field{"kind", String, "s", true, "The kind of stop, one of a closed set."},
    Field{"code", Integer, "i", true, "The exit code."},
    Field{"signal", String, "s", true, "The signal, as SIGSEGV."},
    Field{"step", String, "s", true, "The step that failed."},
    Field{"cause", String, "s", true, "Of start-limit: the kind of stop that came too often."},
    Field{"by", String, "s", true, "Who asked for it."},
    Field{"owner", String, "s", true, "Of paused: the node all of whose processes are."},
    Field{"node", String, "s", true, "Where it stopped."},
    Field{"epoch", Integer, "t", true, "The epoch in which it stopped."},
    Field{"detail", String, "s", true, "More about it, in words."},
    Field{"log", StringList, "as", true, "The last lines of its journal."},
    Field{"at", String, "s", true, "When, RFC 3339."},
    Field{"at_timestamp", Time, "t", true, "When.", Shown::OnBus},
};

constexpr std::array usage{
    Field{"id", Integer, "u", true, "The process id."},
    Field{"name", String, "s", true, "Its name."},
    Field{"node", String, "s", true, "The node that it runs on."},
    Field{"state", String, "s", true, "As in ListProcess."},
    Field{"waits_for", String, "s", true, "What it lacks to be ready."},
    Field{"restarts", Integer, "u", true, "How often it was started again."},
    Field{"reason", Table, "a{sv}", true, "Why it stopped the last time.", Shown::Everywhere, &reason_fields},
    Field{"invocation", String, "s", true, "systemd's id of the run that is measured."},
    Field{"measured_usec", Integer, "t", true, "When, by CLOCK_BOOTTIME of its node.", Shown::OnBus},
    Field{"memory_bytes", Integer, "t", true, "Memory that it uses now."},
    Field{"cpu_usec", Integer, "t", true, "Processor time that it has used.", Shown::OnBus},
    Field{"io_read_bytes", Integer, "t", true, "What it has read from disks."},
    Field{"io_written_bytes", Integer, "t", true, "What it has written to disks."},
    Field{"tasks", Integer, "t", true, "Its threads and processes now."},
    Field{"connections", Integer, "t", true, "Clients that are connected now, through the edge."},
    Field{"received_bytes", Integer, "t", true,
          "What clients have sent it through the edge, since its connector began."},
    Field{"sent_bytes", Integer, "t", true, "What it has sent them, since its connector began."},
};

constexpr std::array deployer{
    Field{"name", String, "s", true, "Its name."},
    Field{"as", String, "s", true, "As whom it runs: process, builder or root."},
    Field{"admitted", Boolean, "b", true, "Whether it runs for processes of other nodes."},
    Field{"missing", StringList, "as", true, "Programs that it needs and that are not there."},
    Field{"problem", String, "s", true, "Why it is not run at all; empty: it is."},
};

std::span<const Field> deployer_fields() noexcept {
    return deployer;
}

constexpr std::array owner{
    Field{"owner", String, "s", true, "The node that has spun them."},
    Field{"own", Boolean, "b", true, "Whether that is this machine itself."},
    Field{"processes", StringList, "as", true, "Their names, whether they run or not."},
    Field{"running", Integer, "u", true, "How many of them run, without those that are paused."},
    Field{"paused", Integer, "u", true, "How many of them are paused."},
    Field{"measured_usec", Integer, "t", true, "When, by CLOCK_BOOTTIME.", Shown::OnBus},
    Field{"memory_bytes", Integer, "t", true, "Memory that they use now."},
    Field{"cpu_usec", Integer, "t", true, "Processor time that they have used.", Shown::OnBus},
    Field{"tasks", Integer, "t", true, "Their threads and processes now."},
    Field{"memory_limit_bytes", Integer, "t", true, "The most memory that they may use together."},
    Field{"cpu_limit_percent", Integer, "u", true,
          "The most processor time; 150 is one and a half processors."},
    Field{"tasks_limit", Integer, "u", true, "The most threads and processes."},
    Field{"limited_by", String, "s", true, "Who set the limits last."},
    Field{"limited_at", String, "s", true, "When."},
    Field{"paused_by", String, "s", true, "Who has paused all of them."},
    Field{"paused_at", String, "s", true, "Since when."},
    Field{"slice", String, "s", true, "The systemd slice that they are started in."},
    Field{"outside", StringList, "as", true,
          "Which were started in another slice; they come into this one at their next start."},
    Field{"notes", StringList, "as", true, "What to know about limits that were just set."},
};

constexpr std::array node{
    Field{"object", Object, "o", true, "Its object.", Shown::InRows},
    Field{"name", String, "s", true, "The node's name."},
    Field{"id", String, "s", true, "The fingerprint of its key."},
    Field{"state", String, "s", true, "up, suspect or lost."},
    Field{"ipv4", String, "s", true, "Its IPv4 address."},
    Field{"ipv6", String, "s", true, "Its IPv6 address."},
    Field{"latency_ms", Number, "d", true, "Round trip to the root."},
    Field{"download_mbps", Number, "d", true, "Measured download rate.", Shown::NoProperty},
    Field{"upload_mbps", Number, "d", true, "Measured upload rate.", Shown::NoProperty},
    Field{"server_port", Integer, "u", true, "The port of the control link at the root."},
    Field{"ssh_port", Integer, "u", true, "Where sshd listens."},
    Field{"nat", Boolean, "b", true, "Whether it is behind NAT."},
    Field{"via", String, "s", true, "direct, or edge."},
    Field{"roles", StringList, "as", true, "owner or member; root where the edge runs."},
    Field{"task_types", StringList, "as", true, "Kinds of tasks that it takes.", Shown::NoProperty},
    Field{"cpus", Integer, "u", true, "Processors."},
    Field{"memory_bytes", Integer, "t", true, "Memory."},
    Field{"memory_available_bytes", Integer, "t", true, "Memory that is free, as it was reported."},
    Field{"disk_available_bytes", Integer, "t", true,
          "Disk space that is free where data lies, as reported."},
    Field{"cpu_pressure", Number, "d", true, "Percentage of a minute in which something waited for it."},
    Field{"memory_pressure", Number, "d", true, "The same for memory."},
    Field{"io_pressure", Number, "d", true, "The same for disks."},
    Field{"on_battery", Boolean, "b", true, "Whether it runs on a battery."},
    Field{"gpus", StringList, "as", true, "Graphics processors."},
    Field{"deployers", TableList, "aa{sv}", true, "Its deployers.", Shown::Everywhere, &deployer_fields},
    Field{"labels", StringList, "as", true, "Labels: KEY or KEY=VALUE."},
    Field{"custom", Table, "a{sv}", true, "Custom information: texts."},
    Field{"draining", Boolean, "b", true, "Whether no processes are placed there at the moment."},
    Field{"last_seen", String, "s", true,
          "When the root last heard of it, RFC 3339; nothing while that is not known."},
    Field{"last_seen_timestamp", Time, "t", true, "When the root last heard of it.", Shown::OnBus},
    Field{"version", String, "s", true, "The version of its p2prcd."},
    Field{"arch", String, "s", true, "Its architecture, as uname -m prints it."},
    Field{"os", String, "s", true, "Its operating system, PRETTY_NAME of os-release(5)."},
};

constexpr std::array obstacle{
    Field{"code", String, "s", true, "The kind of obstacle."},
    Field{"text", String, "s", true, "What is in the way."},
    Field{"fix", String, "s", true, "What to do about it."},
};

std::span<const Field> obstacle_fields() noexcept {
    return obstacle;
}

constexpr std::array placement{
    Field{"node", String, "s", true, "The node."},
    Field{"fits", Boolean, "b", true, "Whether the process can run there."},
    Field{"chosen", Boolean, "b", true, "Whether it would run, or runs, there."},
    Field{"score", Number, "d", true,
          "Among those that fit, the highest is chosen if the file has no order."},
    Field{"summary", String, "s", true, "How much room it has."},
    Field{"obstacles", TableList, "aa{sv}", true, "All that is in the way.", Shown::Everywhere,
          &obstacle_fields},
};

constexpr std::array drained{
    Field{"process", String, "s", true, "Its name."},
    Field{"id", Integer, "u", true, "Its id."},
    Field{"from", String, "s", true, "The node that is drained."},
    Field{"to", String, "s", true, "Where it goes; nothing: it stays."},
    Field{"obstacles", TableList, "aa{sv}", true, "Why it stays, or does not run there yet.",
          Shown::Everywhere, &obstacle_fields},
};

constexpr std::array cleaned{
    Field{"results", Integer, "u", true, "How many results were removed."},
    Field{"bytes", Integer, "t", true, "Disk space that is free since."},
};

constexpr std::array change{
    Field{"key", String, "s", true, "The key of the process file."},
    Field{"from", String, "s", true, "Its value now."},
    Field{"to", String, "s", true, "Its value then."},
};

std::span<const Field> change_fields() noexcept {
    return change;
}

constexpr std::array explanation{
    Field{"changes", TableList, "aa{sv}", true, "What would be changed of a process that exists.",
          Shown::Everywhere, &change_fields},
    Field{"restarts", Boolean, "b", true, "Whether that would restart it."},
    Field{"revision", Integer, "u", true, "The revision of it that this would make."},
    Field{"node", String, "s", true, "The node that it would run on, or runs on."},
    Field{"placement", TableList, "aa{sv}", true, "All nodes.", Shown::Everywhere, &placement_fields},
};

constexpr std::array domain{
    Field{"object", Object, "o", true, "Its object.", Shown::InRows},
    Field{"domain", String, "s", true, "The domain."},
    Field{"process", String, "s", true, "The process that it is mapped to."},
    Field{"process_object", Object, "o", true, "That process's object.", Shown::OnBus},
    Field{"node", String, "s", true, "The node that serves it."},
    Field{"node_object", Object, "o", true, "That node's object.", Shown::OnBus},
    Field{"tls", String, "s", true, "node, passthrough or none."},
    Field{"port", Integer, "u", true, "The port on that node's loopback."},
    Field{"state", String, "s", true, "live, waiting or failed."},
    Field{"reason", String, "s", true, "Why it is not live."},
};

constexpr std::array zone{
    Field{"name", String, "s", true, "The zone."},
    Field{"addresses", StringList, "as", true, "The addresses that its names have."},
    Field{"names", Integer, "t", true, "How many domains are mapped in it."},
};

constexpr std::array record{
    Field{"name", String, "s", true, "The name."},
    Field{"type", String, "s", true, "A, AAAA, NS, TXT and so on."},
    Field{"ttl", Integer, "u", true, "How many seconds it may be remembered."},
    Field{"data", String, "s", true, "Its data, as in a zone file."},
};

constexpr std::array problem{
    Field{"severity", String, "s", true, "down: something does not work; warning: it may soon."},
    Field{"subject", String, "s", true, "What the cause is about: \"node attic\"."},
    Field{"cause", String, "s", true, "One sentence."},
    Field{"hint", String, "s", true, "What to do."},
    Field{"since", String, "s", true, "Since when, RFC 3339."},
    Field{"since_timestamp", Time, "t", true, "Since when.", Shown::OnBus},
    Field{"affects", StringList, "as", true, "What is down because of it."},
};

std::span<const Field> problem_fields() noexcept {
    return problem;
}

constexpr std::array fleet{
    Field{"zone", String, "s", true, "Its zone; empty: it has none."},
    Field{"root", String, "s", true, "Its root; empty: this node is in no fleet."},
    Field{"public_ips", StringList, "as", true, "The root's public addresses."},
    Field{"acme", String, "s", true, "The ACME directory, or none."},
};

std::span<const Field> fleet_fields() noexcept {
    return fleet;
}

constexpr std::array status{
    Field{"version", String, "s", true, "The version of this p2prcd."},
    Field{"node", String, "s", true, "The name of this node."},
    Field{"root", Boolean, "b", true, "Whether it is the root."},
    Field{"role", String, "s", true, "Its role in the fleet: owner or member; nothing in none."},
    Field{"reachable", Boolean, "b", true, "Whether the registry can be reached now."},
    Field{"fleet", Table, "a{sv}", true, "The fleet.", Shown::Everywhere, &fleet_fields},
    Field{"nodes", Table, "a{sv}", true, "How many nodes are in each state."},
    Field{"processes", Table, "a{sv}", true, "How many processes are in each state."},
    Field{"domains", Table, "a{sv}", true, "How many domains are in each state."},
    Field{"tunnels", Table, "a{sv}", true, "How many tunnels are up, connecting or down."},
    Field{"certificates", Table, "a{sv}", true, "How many certificates are in each state."},
    Field{"edge", String, "s", true, "up or down; nothing in a fleet without a root."},
    Field{"problems", TableList, "aa{sv}", true, "What is wrong, each cause once.", Shown::Everywhere,
          &problem_fields},
};

// Lists of what each kind of object shows, for p2prc doctor.
constexpr std::array more_facts{
    Field{"link_error", String, "s", true, "Why the registry cannot be reached."},
    Field{"link_hint", String, "s", true, "What to do about it."},
    Field{"unconfined", String, "s", true, "Why processes are not kept to their ports."},
    Field{"unconfined_hint", String, "s", true, "What to do about it."},
    Field{"node_list", TableList, "aa{sv}", true, "All nodes.", Shown::Everywhere, &node_fields},
    Field{"process_list", TableList, "aa{sv}", true, "All processes.", Shown::Everywhere, &process_fields},
    Field{"mapped", TableList, "aa{sv}", true, "All domains.", Shown::Everywhere, &domain_fields},
    Field{"own_certificates", TableList, "aa{sv}", true, "The certificates of this node."},
    Field{"edge_report", Table, "a{sv}", true, "What the edge has reported."},
    Field{"connector", Table, "a{sv}", true, "What the connector has reported."},
    Field{"routes", Table, "a{sv}", true, "revision and left_out of the table for the edge."},
    Field{"edge_registered", Boolean, "b", true, "Whether the edge has named its key."},
    Field{"connector_registered", Boolean, "b", true, "Whether the connector has named its key."},
    Field{"revision", Integer, "t", true, "Of the agreed state."},
};

constexpr auto facts = [] {
    std::array<Field, status.size() + more_facts.size()> all{};
    std::ranges::copy(more_facts, std::ranges::copy(status, all.begin()).out);
    return all;
}();

constexpr std::array event{
    Field{"text", String, "s", true, "What happened, in one sentence."},
    Field{"process", String, "s", true, "The process that it is about, or that a domain leads to."},
    Field{"id", Integer, "u", true, "The id of the process that it is about."},
    Field{"node", String, "s", true, "The node that it is about, or where the process or domain is."},
    Field{"domain", String, "s", true, "The domain that it is about."},
    Field{"reason", Table, "a{sv}", true, "Why a process stopped, without its log.", Shown::Everywhere,
          &reason_fields},
};

constexpr std::array init{
    Field{"name", String, "s", true, "The name of this node."},
    Field{"domain", String, "s", true, "The zone."},
    Field{"public_ips", StringList, "as", true, "The root's public addresses."},
    Field{"acme", String, "s", true, "The ACME directory, or none."},
    Field{"edge", Boolean, "b", true, "Whether the edge was enabled and started."},
    Field{"records", TableList, "aa{sv}", true, "What to set at the registrar.", Shown::Everywhere,
          &record_fields},
    Field{"hint", String, "s", true, "What to do next."},
};

} // namespace

std::span<const Field> spec_fields() noexcept {
    return spec;
}
std::span<const Field> remedy_fields() noexcept {
    return remedy;
}
std::span<const Field> process_fields() noexcept {
    return process;
}
std::span<const Field> usage_fields() noexcept {
    return usage;
}
std::span<const Field> history_fields() noexcept {
    return history;
}
std::span<const Field> reason_fields() noexcept {
    return reason;
}
std::span<const Field> owner_fields() noexcept {
    return owner;
}
std::span<const Field> node_fields() noexcept {
    return node;
}
std::span<const Field> cleaned_fields() noexcept {
    return cleaned;
}

std::span<const Field> placement_fields() noexcept {
    return placement;
}
std::span<const Field> drained_fields() noexcept {
    return drained;
}
std::span<const Field> explanation_fields() noexcept {
    return explanation;
}
std::span<const Field> domain_fields() noexcept {
    return domain;
}
std::span<const Field> zone_fields() noexcept {
    return zone;
}
std::span<const Field> record_fields() noexcept {
    return record;
}
std::span<const Field> status_fields() noexcept {
    return status;
}
std::span<const Field> facts_fields() noexcept {
    return facts;
}
std::span<const Field> event_fields() noexcept {
    return event;
}
std::span<const Field> init_fields() noexcept {
    return init;
}

const Field* find_field(std::span<const Field> fields, std::string_view key) noexcept {
    for (const auto& field : fields)
        if (field.key == key) return &field;
    return nullptr;
}

} // namespace p2prc

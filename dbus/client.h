// p2prcd as its clients see it: org.p2prc1.Manager with C++ types.
#pragma once

#include "core/error.h"
#include "dbus/bus.h"
#include "dbus/codec.h"
#include "dbus/limits.h"

#include <boost/asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace p2prc::dbus {

using Json = nlohmann::json;

// One method call to p2prcd: `arguments` is a list that matches `signature`, the answer the list of what came
// back. Unreachable, with what to do, when p2prcd does not run.
class Caller {
  public:
    struct Options {
        // For the answer. Without a limit it ends with p2prcd or the connection.
        std::chrono::microseconds timeout = no_timeout;
        bool exact = false; // CodecLimits::exact
        CodecLimits answer = answer_limits;
        const char* former_path = nullptr; // asked where a p2prcd of the version before does not have `path`
    };

    // `bus` must outlive it. With `interactive`, polkit may ask the caller's user for a password; with
    // `activate`, a p2prcd that does not run is started.
    Caller(Bus& bus, bool interactive, bool activate)
        : bus_(&bus)
        , interactive_(interactive)
        , activate_(activate) {}

    Bus& bus() const { return *bus_; }
    Result<Message> make(const char* path, const char* interface, const char* member) const;
    boost::asio::awaitable<Result<Message>> send(Message call,
                                                 std::chrono::microseconds timeout = no_timeout) const;
    boost::asio::awaitable<Result<Json>> invoke(const char* path, const char* interface, const char* member,
                                                std::string signature, Json arguments, Options options) const;
    boost::asio::awaitable<Result<Json>> invoke(const char* path, const char* interface, const char* member,
                                                std::string signature, Json arguments) const {
        return invoke(path, interface, member, std::move(signature), std::move(arguments), Options());
    }

  private:
    Bus* bus_;
    bool interactive_;
    bool activate_;
};

// The answer of a call.
template <class T>
using Answer = boost::asio::awaitable<Result<T>>;

// Every call ends: one that reads after a minute, one that changes something after the twenty that work and a
// person's password may take.
class Client {
  public:
    static constexpr std::chrono::minutes to_read{1};
    static constexpr std::chrono::minutes to_work{20};

    // `before_work` is called before each call that polkit may have to ask a person about.
    explicit Client(Bus& bus, bool interactive = true, std::function<void()> before_work = {});

    // `spec`: a document with the keys of a process file. -> object path
    Answer<std::string> spin(Json spec, std::string node);
    // `options`, as for the next two: until, timeout_seconds.
    Answer<std::string> spin_with(Json spec, std::string node, Json options);
    // -> the number of the revision that it makes; 0 stands for the last good one
    Answer<std::uint32_t> roll_back(std::string process, std::uint32_t revision, Json options);
    // `custom`: a table of texts, in place of all that was there; the same for set_node_custom().
    Answer<void> set_process_custom(std::string process, Json custom) {
        return work("SetProcessCustom", "sa{ss}a{sv}", {process, custom, Json::object()});
    }
    // -> the number of the revision that it makes
    Answer<std::uint32_t> redeploy(std::string process, Json options);
    // `process`: of this machine; empty: all. {results, bytes}
    Answer<Json> clean_deployments(std::string process) {
        return first("CleanDeployments", "sa{sv}", {process, Json::object()}, to_work);
    }
    Answer<Json> history(std::string process) { return read("ProcessHistory", "s", {process}); }
    // What a spin would do: {placement, changes, restarts}.
    Answer<Json> explain_spin(Json spec, std::string node);
    Answer<void> start_with(std::string process, Json options) {
        return work("StartProcessWithOptions", "sa{sv}", {process, options});
    }
    Answer<void> restart_with(std::string process, Json options) {
        return work("RestartProcessWithOptions", "sa{sv}", {process, options});
    }
    // `process`: id, name or domain.
    Answer<void> kill(std::string process) { return work("KillProcess", "s", {process}); }
    Answer<void> stop(std::string process) { return work("StopProcess", "s", {process}); }
    Answer<void> start(std::string process) { return work("StartProcess", "s", {process}); }
    Answer<void> restart(std::string process) { return work("RestartProcess", "s", {process}); }
    // Of this machine, whoever has spun it.
    Answer<void> pause(std::string process) { return work("PauseProcess", "s", {process}); }
    Answer<void> resume_with(std::string process, Json options) {
        return work("ResumeProcessWithOptions", "sa{sv}", {process, options});
    }
    // All that the node has spun here, and will spin.
    Answer<void> pause_owner(std::string node) {
        return work("PauseOwner", "sa{sv}", {node, Json::object()});
    }
    Answer<void> resume_owner(std::string node) {
        return work("ResumeOwner", "sa{sv}", {node, Json::object()});
    }
    // Objects and lists of objects with the keys of core/fields.h; what is absent is not in them.
    Answer<Json> information(std::string process) { return read("ProcessInformation", "s", {process}); }
    Answer<Json> processes() { return read("ListProcess"); }
    // `options`: fields.
    Answer<Json> processes_with(Json options) { return read("ListProcessWithOptions", "a{sv}", {options}); }
    // Who runs what on this machine.
    Answer<Json> owners() { return read("ListOwners", "a{sv}", {Json::object()}); }
    // `options`: memory, cpu, tasks. -> its row
    Answer<Json> limit_owner(std::string node, Json options) {
        return first("LimitOwner", "sa{sv}", {node, options}, to_work);
    }
    // `options`: node, process. A row a process.
    Answer<Json> usage(Json options) { return read("ListUsage", "a{sv}", {options}); }
    Answer<Json> domains() { return read("ListDomains"); }
    Answer<Json> nodes() { return read("ListNodes"); }
    // The reading end of a pipe of text; the caller closes it.
    // `deploy`: of its deployer.
    Answer<int> logs(std::string process, std::uint32_t lines, bool follow, bool deploy);

    // `options`: tls, port. -> object path
    Answer<std::string> map_domain(std::string domain, std::string process, Json options) {
        return text("MapDomain", "ssa{sv}", {domain, process, options}, to_work);
    }
    Answer<void> unmap_domain(std::string domain) { return work("UnmapDomain", "s", {domain}); }

    // Options and results as in interfaces/org.p2prc1.Manager.xml.
    Answer<Json> init(Json options) { return first("Init", "a{sv}", {options}, to_work); }
    Answer<Json> invite(Json options) { return first("Invite", "a{sv}", {options}, to_work); }
    Answer<Json> join(std::string token, std::string name) {
        return first("Join", "ss", {token, name}, to_work);
    }
    Answer<void> leave(bool force) { return work("Leave", "b", {force}); }
    Answer<void> remove_node(std::string name) { return work("RemoveNode", "s", {name}); }
    Answer<void> label_node(std::string name, Json set, Json remove) {
        return work("LabelNode", "sa{ss}asa{sv}", {name, set, remove, Json::object()});
    }
    Answer<void> set_node_custom(std::string name, Json custom) {
        return work("SetNodeCustom", "sa{ss}a{sv}", {name, custom, Json::object()});
    }
    // `options`: dry_run, deadline_seconds. -> a row for each process of the node
    Answer<Json> drain_node(std::string name, Json options) {
        const std::chrono::seconds deadline(options.value("deadline_seconds", 0U));
        return first("DrainNode", "sa{sv}", {name, options}, to_work + deadline);
    }
    Answer<Json> resume_node(std::string name) {
        return first("ResumeNode", "sa{sv}", {name, Json::object()}, to_work);
    }
    Answer<std::string> fleet_certificate() { return text("FleetCertificate", "", {}, to_read); }

    Answer<Json> status() { return read("Status"); }
    Answer<Json> facts() { return read("Facts"); }
    Answer<Json> zones() { return read("ListZones"); }
    Answer<Json> records(std::string zone) { return read("ListRecords", "s", {zone}); }
    Answer<std::string> version();
    // Whether the registry can be reached now; otherwise lists may be out of date.
    Answer<bool> reachable();

  private:
    using Arguments = std::vector<Json>;

    Answer<Json> property(const char* name);
    // The first value of the answer of a method that takes a spec.
    Answer<Json> send_spec(const char* member, Json spec, std::string node, std::optional<Json> options);
    Answer<std::string> send_spin(const char* member, Json spec, std::string node,
                                  std::optional<Json> options);
    Answer<Json> manager(const char* member, std::string signature, Arguments arguments,
                         std::chrono::microseconds timeout);
    // The first value of the answer.
    Answer<Json> first(const char* member, std::string signature, Arguments arguments,
                       std::chrono::microseconds timeout);
    Answer<std::string> text(const char* member, std::string signature, Arguments arguments,
                             std::chrono::microseconds timeout);
    Answer<Json> read(const char* member, std::string signature = {}, Arguments arguments = {}) {
        return first(member, std::move(signature), std::move(arguments), to_read);
    }
    Answer<void> work(const char* member, std::string signature, Arguments arguments);
    Answer<Message> send_work(Message call);

    Caller caller_;
    std::function<void()> before_work_;
};

// What p2prcd hands to one of its two helpers, and when there is something newer.
struct Feed {
    std::uint64_t revision = 0;
    Json document;
};

// What edge and connector have in common. Neither starts p2prcd: when an administrator stopped it, it stays
// stopped.
class HelperClient {
  public:
    Answer<void> register_key(std::string fingerprint);
    Answer<void> report_status(Json status);
    // `changed` when there is a newer document, and with 0 when p2prcd has come (back): register and ask
    // again then.
    Result<Registration> watch(std::function<void(std::uint64_t revision)> changed);

  protected:
    struct Side {
        const char* interface;
        const char* path;
        const char* former_path;
        const char* get;     // the method that answers the document
        const char* changed; // the signal
    };
    HelperClient(Bus& bus, const Side& side) : caller_(bus, false, false), side_(side) {}

    Answer<Feed> document();
    Answer<Json> invoke(const char* member, std::string signature, Json arguments);
    Answer<void> nothing(const char* member, std::string signature, Json arguments);
    Result<Registration> match(const char* member, std::function<void(const Message&)> came);

  private:
    Caller caller_;
    Side side_;
};

// org.p2prc1.Edge, for p2prc-edge.
class EdgeClient : public HelperClient {
  public:
    explicit EdgeClient(Bus& bus);
    // The document is for route_table_from_json.
    Answer<Feed> routes() { return document(); }
};

// org.p2prc1.Connector, for p2prc-connector and the hook of its ACME client.
class ConnectorClient : public HelperClient {
  public:
    explicit ConnectorClient(Bus& bus);
    // {edges: [{address, key}], acme, zone, mappings: [{id, domain, port, tls, address, groups}]}
    Answer<Feed> mappings() { return document(); }
    Answer<void> publish_challenge(std::string domain, std::string value);
    Answer<void> remove_challenge(std::string domain, std::string value);
    // Answers when the unit of the ACME client is done.
    Answer<void> issue_certificate(std::string domain);
    Answer<std::string> sign_certificate(std::string domain, std::string csr);
    Answer<void> report_certificate(std::string domain, std::string state, std::string detail,
                                    std::string not_after);
    Answer<void> report_serving(std::string domain, std::string state, std::string reason);
    // [{mapping, connections, received_bytes, sent_bytes}]
    Answer<void> report_traffic(Json traffic) {
        return nothing("ReportTraffic", "aa{sv}", Json::array({traffic}));
    }
    // `asked` when p2prcd wants such a report at once.
    Result<Registration> watch_traffic_asked(std::function<void()> asked);
};

} // namespace p2prc::dbus

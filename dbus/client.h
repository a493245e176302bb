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

// Every call ends: one that reads after a minute, one that changes something after the twenty that work and a
// person's password may take.
class Client {
  public:
    static constexpr std::chrono::minutes to_read{1};
    static constexpr std::chrono::minutes to_work{20};

    // `before_work` is called before each call that polkit may have to ask a person about.
    explicit Client(Bus& bus, bool interactive = true, std::function<void()> before_work = {});

    // `spec`: a document with the keys of a process file. -> object path
    boost::asio::awaitable<Result<std::string>> spin(Json spec, std::string node);
    // `options`, as for the next two: until, timeout_seconds.
    boost::asio::awaitable<Result<std::string>> spin_with(Json spec, std::string node, Json options);
    boost::asio::awaitable<Result<void>> start_with(std::string process, Json options);
    boost::asio::awaitable<Result<void>> restart_with(std::string process, Json options);
    // `process`: id, name or domain.
    boost::asio::awaitable<Result<void>> kill(std::string process);
    boost::asio::awaitable<Result<void>> stop(std::string process);
    boost::asio::awaitable<Result<void>> start(std::string process);
    boost::asio::awaitable<Result<void>> restart(std::string process);
    // Objects and lists of objects with the keys of core/fields.h; what is absent is not in them.
    boost::asio::awaitable<Result<Json>> information(std::string process);
    boost::asio::awaitable<Result<Json>> processes();
    boost::asio::awaitable<Result<Json>> domains();
    boost::asio::awaitable<Result<Json>> nodes();
    // The reading end of a pipe of text; the caller closes it.
    boost::asio::awaitable<Result<int>> logs(std::string process, std::uint32_t lines, bool follow);

    // `options`: tls, port. -> object path
    boost::asio::awaitable<Result<std::string>> map_domain(std::string domain, std::string process,
                                                           Json options);
    boost::asio::awaitable<Result<void>> unmap_domain(std::string domain);

    // Options and results as in interfaces/org.p2prc1.Manager.xml.
    boost::asio::awaitable<Result<Json>> init(Json options);
    boost::asio::awaitable<Result<Json>> invite(Json options);
    boost::asio::awaitable<Result<Json>> join(std::string token, std::string name);
    boost::asio::awaitable<Result<void>> leave(bool force);
    boost::asio::awaitable<Result<void>> remove_node(std::string name);
    boost::asio::awaitable<Result<std::string>> fleet_certificate();

    boost::asio::awaitable<Result<Json>> status();
    boost::asio::awaitable<Result<Json>> facts();
    boost::asio::awaitable<Result<Json>> zones();
    boost::asio::awaitable<Result<Json>> records(std::string zone);
    boost::asio::awaitable<Result<std::string>> version();

  private:
    boost::asio::awaitable<Result<std::string>> send_spin(const char* member, Json spec, std::string node,
                                                          std::optional<Json> options);
    boost::asio::awaitable<Result<Json>> manager(const char* member, std::string signature, Json arguments,
                                                 std::chrono::microseconds timeout);
    boost::asio::awaitable<Result<Json>> first(const char* member, std::string signature, Json arguments,
                                               std::chrono::microseconds timeout);
    boost::asio::awaitable<Result<std::string>> text(const char* member, std::string signature,
                                                     Json arguments, std::chrono::microseconds timeout);
    boost::asio::awaitable<Result<void>> nothing(const char* member, std::string signature, Json arguments);
    boost::asio::awaitable<Result<Message>> send_work(Message call);

    Caller caller_;
    std::function<void()> before_work_;
};

// What p2prcd hands to one of its two helpers, and when there is something newer.
struct Feed {
    std::uint64_t revision = 0;
    Json document;
};

// org.p2prc1.Edge, for p2prc-edge.
class EdgeClient {
  public:
    explicit EdgeClient(Bus& bus);
    boost::asio::awaitable<Result<void>> register_key(std::string fingerprint);
    // The document is for route_table_from_json.
    boost::asio::awaitable<Result<Feed>> routes();
    boost::asio::awaitable<Result<void>> report_status(Json status);
    // `changed` when there are newer routes, and with 0 when p2prcd has come (back): register and ask again
    // then.
    Result<Registration> watch(std::function<void(std::uint64_t revision)> changed);

  private:
    Caller caller_;
};

// org.p2prc1.Connector, for p2prc-connector and the hook of its ACME client.
class ConnectorClient {
  public:
    explicit ConnectorClient(Bus& bus);
    boost::asio::awaitable<Result<void>> register_key(std::string fingerprint);
    // {edges: [{address, key}], acme, zone, mappings: [{id, domain, port, tls, address, groups}]}
    boost::asio::awaitable<Result<Feed>> mappings();
    boost::asio::awaitable<Result<void>> publish_challenge(std::string domain, std::string value);
    boost::asio::awaitable<Result<void>> remove_challenge(std::string domain, std::string value);
    // Answers when the unit of the ACME client is done.
    boost::asio::awaitable<Result<void>> issue_certificate(std::string domain);
    boost::asio::awaitable<Result<std::string>> sign_certificate(std::string domain, std::string csr);
    boost::asio::awaitable<Result<void>> report_certificate(std::string domain, std::string state,
                                                            std::string detail, std::string not_after);
    boost::asio::awaitable<Result<void>> report_serving(std::string domain, std::string state,
                                                        std::string reason);
    boost::asio::awaitable<Result<void>> report_status(Json status);
    Result<Registration> watch(std::function<void(std::uint64_t revision)> changed);

  private:
    boost::asio::awaitable<Result<Json>> invoke(const char* member, std::string signature, Json arguments);
    boost::asio::awaitable<Result<void>> nothing(const char* member, std::string signature, Json arguments);

    Caller caller_;
};

} // namespace p2prc::dbus

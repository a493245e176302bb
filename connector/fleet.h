// The connector's p2prcd: mappings asked for over D-Bus and asked for again when it says so; certificates
// through it.
#pragma once

#include "connector/certificates.h"
#include "connector/mappings.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <memory>
#include <string>

namespace p2prc::connector {

struct FleetOptions {
    std::string fingerprint; // of this connector's key, registered with p2prcd
    std::string bus_address; // empty: the system bus
    std::function<void(const MappingTable&)> apply;
    std::function<nlohmann::json()> status; // reported to p2prcd now and then
    std::function<void()> connected;        // p2prcd has come (back)
};

class Fleet final : public CertificateSource {
  public:
    Fleet(boost::asio::any_io_executor executor, FleetOptions options);
    ~Fleet();

    // Goes on for ever; what fails is logged once and tried again. Must not outlive this object.
    boost::asio::awaitable<void> run();
    // Closes the connection to the bus, and opens no other.
    void leave();
    // FleetOptions::status has something that p2prcd should know at once.
    void status_changed();
    // Whether visitors of a domain are served. Lost while p2prcd is away.
    void report_serving(const std::string& domain, const std::string& state, const std::string& reason);

    boost::asio::awaitable<Result<std::string>> sign(std::string domain, std::string csr) override;
    boost::asio::awaitable<Result<void>> issue(std::string domain) override;
    boost::asio::awaitable<void> report(std::string domain, std::string state, std::string detail,
                                        std::string not_after) override;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace p2prc::connector

// The connector's link to p2prcd over D-Bus: gets the mappings, follows their changes, and gets certificates.
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
    std::function<nlohmann::json()> status;  // reported to p2prcd now and then
    std::function<nlohmann::json()> traffic; // reported whenever p2prcd asks
    std::function<void()> connected;         // p2prcd is reachable (again)
    std::function<void()> key_taken;         // another node of the fleet has this connector's key
};

class Fleet final : public CertificateSource {
  public:
    Fleet(boost::asio::any_io_executor executor, FleetOptions options);
    ~Fleet();

    // Runs for ever; logs each failure once and retries. Must not outlive this object.
    boost::asio::awaitable<void> run();
    // Closes the connection to the bus, and opens no other.
    void leave();
    // Reports FleetOptions::status to p2prcd at once.
    void status_changed();
    // Reports whether clients of a domain are served. The report is lost while p2prcd is not running.
    void report_serving(const std::string& domain, const std::string& state, const std::string& reason);

    boost::asio::awaitable<Result<std::string>> sign(std::string domain, std::string csr) override;
    boost::asio::awaitable<Result<void>> issue(std::string domain) override;
    boost::asio::awaitable<bool> report(std::string domain, std::string state, std::string detail,
                                        std::string not_after) override;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace p2prc::connector

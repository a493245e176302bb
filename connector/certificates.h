// Keeps a certificate for every domain whose TLS this connector terminates: loads, orders, renews, reports.
#pragma once

#include "connector/mappings.h"
#include "core/error.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

struct ssl_ctx_st;

namespace p2prc::connector {

// Where certificates come from: p2prcd, or a test.
class CertificateSource {
  public:
    virtual ~CertificateSource() = default;
    // The fleet's web CA: a request to a chain, both PEM.
    virtual boost::asio::awaitable<Result<std::string>> sign(std::string domain, std::string csr) = 0;
    // Runs the ACME client; afterwards, the files of acme_files exist.
    virtual boost::asio::awaitable<Result<void>> issue(std::string domain) = 0;
    // "pending", "ready" or "failed", with the reason, and its expiry date (RFC 3339). False: it was not
    // heard.
    virtual boost::asio::awaitable<bool> report(std::string domain, std::string state, std::string detail,
                                                std::string not_after) = 0;
};

struct CertificateOptions {
    std::filesystem::path directory = "/var/lib/p2prc-connector";
    std::chrono::milliseconds first_retry{5000}; // doubled up to the longest
    std::chrono::milliseconds longest_retry = std::chrono::hours(1);
    std::chrono::milliseconds delegation_retry{60000}; // while the zone is not delegated to the root yet
    // How many orders of one name may fail at the CA within `order_window`: Let's Encrypt accepts five failed
    // validations an hour, then refuses the name for an hour.
    std::size_t most_orders = 5;
    std::chrono::seconds order_window = std::chrono::hours(1);
    std::size_t at_once = 4;
    // Asked before each order, of the fleet's zone.
    std::function<boost::asio::awaitable<Result<void>>(std::string zone)> check_delegation;
    std::function<std::chrono::system_clock::time_point()> now = std::chrono::system_clock::now;
};

// Where the ACME client leaves what it got: uacme's layout below `directory`/acme, or
// /acme-wildcard.
struct AcmeFiles {
    std::filesystem::path chain;
    std::filesystem::path key;
};
AcmeFiles acme_files(const std::filesystem::path& directory, const std::string& domain);

class Certificates {
  public:
    // Called with each certificate to use from now on; null: none any more.
    using Install = std::function<void(const std::string& domain, std::shared_ptr<ssl_ctx_st>)>;

    // `source` must outlive it.
    Certificates(boost::asio::any_io_executor executor, CertificateSource& source, Install install,
                 CertificateOptions options = {});
    ~Certificates();
    Certificates(const Certificates&) = delete;
    Certificates& operator=(const Certificates&) = delete;

    // Takes the domains of `table` whose TLS this connector terminates. Certificates on disk are used at
    // once.
    void set_mappings(const MappingTable& table);
    // p2prcd is reachable (again): retries what failed and reports everything again.
    void retry();

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::connector

// Keeps a certificate for every domain whose TLS ends here: read from disk, asked for, renewed, reported.
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
    // Has the ACME client run; when it is done the files of acme_files are there.
    virtual boost::asio::awaitable<Result<void>> issue(std::string domain) = 0;
    // "pending", "ready" or "failed", with the reason, and the end of its life in RFC 3339.
    virtual boost::asio::awaitable<void> report(std::string domain, std::string state, std::string detail,
                                                std::string not_after) = 0;
};

struct CertificateOptions {
    std::filesystem::path directory = "/var/lib/p2prc-connector";
    std::chrono::milliseconds first_retry{5000}; // doubled up to the longest
    std::chrono::milliseconds longest_retry = std::chrono::hours(1);
    std::chrono::milliseconds delegation_retry{60000}; // while the world does not ask the root yet
    // Orders of one name that may fail at the CA within `order_window`: Let's Encrypt takes five failed
    // validations an hour, and then refuses the name for an hour.
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
    // Told of each certificate to use from now on; null: none any more.
    using Install = std::function<void(const std::string& domain, std::shared_ptr<ssl_ctx_st>)>;

    // `source` must outlive it.
    Certificates(boost::asio::any_io_executor executor, CertificateSource& source, Install install,
                 CertificateOptions options = {});
    ~Certificates();
    Certificates(const Certificates&) = delete;
    Certificates& operator=(const Certificates&) = delete;

    // The domains of `table` whose TLS ends here. What is on disk is used at once.
    void set_mappings(const MappingTable& table);
    // p2prcd can be asked (again): what failed is tried now, what is there is reported again.
    void retry();

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::connector

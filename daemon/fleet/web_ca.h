// The fleet's own certificate authority for web names, for fleets without ACME: a key apart from all others,
// good for names of the fleet's zone only.
#pragma once

#include "core/error.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

struct evp_pkey_st;
struct x509_st;

namespace p2prc::daemon {

// Cheap to copy; may be used from any thread.
class WebCa {
  public:
    // key.pem and ca.pem (0600) in `directory`, made for `zone` where they are missing. The certificate
    // carries name constraints (RFC 5280 section 4.2.1.10): names of the zone, no addresses. Conflict when it
    // exists for another zone.
    static Result<WebCa> load_or_create(const std::filesystem::path& directory, const std::string& zone);
    // Keeps what is in `directory` beside it, as DIRECTORY.former, so that another one can be made.
    static Result<void> set_aside(const std::filesystem::path& directory);
    // Nothing when it was never made.
    static Result<std::optional<WebCa>> load(const std::filesystem::path& directory);

    const std::string& certificate_pem() const noexcept { return pem_; }
    const std::string& zone() const noexcept { return zone_; }

    // The chain (leaf, then CA) for exactly `domain`, valid for 90 days from `now` (Unix seconds). Of the
    // request (PKCS #10, PEM) only the key is used, after it has proved that its holder made it: P-256, P-384
    // or RSA of 2048 to 8192 bits. InvalidSpec says what is wrong with it; NotPermitted when the domain is
    // not of the zone.
    Result<std::string> sign(const std::string& domain, const std::string& request_pem,
                             std::int64_t now) const;

  private:
    std::shared_ptr<evp_pkey_st> key_;
    std::shared_ptr<x509_st> certificate_;
    std::string pem_;
    std::string zone_;
};

} // namespace p2prc::daemon

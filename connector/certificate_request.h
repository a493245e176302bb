// Makes a new key with its signing request, and reads the lifetime of a certificate.
#pragma once

#include "core/error.h"

#include <chrono>
#include <string>

namespace p2prc::connector {

struct CertificateRequest {
    std::string key_pem; // P-256
    std::string csr_pem; // for `domain` alone, as subject alternative name
};
Result<CertificateRequest> make_certificate_request(const std::string& domain);

struct Validity {
    std::chrono::system_clock::time_point from;
    std::chrono::system_clock::time_point until;
    // When a third of its lifetime is left: early enough to survive days of failures.
    std::chrono::system_clock::time_point renew_at() const { return until - (until - from) / 3; }
};
// Of the first certificate in `pem`.
Result<Validity> certificate_validity(const std::string& pem);

} // namespace p2prc::connector

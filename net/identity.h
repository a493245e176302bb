// A program's key: P-256, created at first start, never leaves its directory. Its fingerprint is the
// program's identity.
#pragma once

#include "core/encoding.h"
#include "core/error.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

struct evp_pkey_st; // OpenSSL's EVP_PKEY
struct x509_st;     // OpenSSL's X509

namespace p2prc::net {

// A private key with a self-signed certificate around it. The certificate only carries the key: peers compare
// fingerprints and look at nothing else in it, so it is made anew in memory and never expires.
class Identity {
  public:
    // A fresh key, kept nowhere.
    static Result<Identity> generate();
    static Result<Identity> from_pem(const std::string& private_key_pem);

    // SHA-256 over the DER SubjectPublicKeyInfo, 64 lower-case hexadecimal digits.
    const std::string& fingerprint() const noexcept { return fingerprint_; }
    Result<std::string> private_key_pem() const;

    evp_pkey_st* key() const noexcept { return key_.get(); }
    x509_st* certificate() const noexcept { return certificate_.get(); }

  private:
    static Result<Identity> from_key(std::shared_ptr<evp_pkey_st> key);

    std::shared_ptr<evp_pkey_st> key_;
    std::shared_ptr<x509_st> certificate_;
    std::string fingerprint_;
};

// The key in `directory`/key.pem (0600), created if there is none. A file that cannot be read as a key is an
// error and is left unchanged: a new key would make this another node.
Result<Identity> load_or_create_identity(const std::filesystem::path& directory);
// Puts a fresh key in the place of the one in `directory`.
Result<Identity> create_identity(const std::filesystem::path& directory);
// How long ago the key in `directory` was made: a very long time if there is none, or if it is of the future,
// as after the clock was corrected.
std::chrono::seconds identity_age(const std::filesystem::path& directory);

// The fingerprint of a certificate's public key, or of a key; empty when it cannot be encoded.
std::string certificate_fingerprint(const x509_st* certificate);
std::string key_fingerprint(const evp_pkey_st* key);

} // namespace p2prc::net

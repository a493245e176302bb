// OpenSSL's objects as owning pointers, and its error queue as an Error.
#pragma once

#include "core/error.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace p2prc::net {

template <auto free_function>
struct OpenSslFree {
    template <class T>
    void operator()(T* object) const noexcept {
        free_function(object);
    }
};

using BioPtr = std::unique_ptr<BIO, OpenSslFree<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslFree<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, OpenSslFree<X509_free>>;

// Everything in this thread's error queue, newest last; the queue is empty afterwards.
std::string openssl_errors();
std::unexpected<Error> openssl_fail(std::string what);

// A kind of BIO over something of this program's own. Without one of them, it does not read or write.
struct BioFunctions {
    const char* name;
    int (*read)(BIO*, char* data, int size) = nullptr;
    int (*write)(BIO*, const char* data, int size) = nullptr;
    long (*control)(BIO*, int command, long, void*) = nullptr;
};
// Once for each kind: what it returns lives as long as the program, and OpenSSL has 127 indexes. Throws
// std::bad_alloc, as new_bio() does.
const BIO_METHOD* make_bio_method(const BioFunctions& functions);
// One over `data` (BIO_get_data), which must outlive it.
BIO* new_bio(const BIO_METHOD* method, void* data);

// What was written to a memory BIO.
std::string bio_text(BIO* bio);

// For PEM_read_bio_*: a passphrase is never asked for.
int no_passphrase(char* buffer, int size, int writing, void* data) noexcept;

Result<std::string> to_pem(X509* certificate);
// The certificate in `pem`, written anew, without what stands around it.
Result<std::string> plain_certificate(const std::string& pem);

} // namespace p2prc::net

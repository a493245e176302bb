#include "net/openssl.h"

#include <openssl/pem.h>

#include <new>

namespace p2prc::net {

std::string openssl_errors() {
    std::string text;
    while (const auto code = ERR_get_error()) {
        const char* reason = ERR_reason_error_string(code);
        if (!text.empty()) text += ", ";
        text += reason ? reason : "error " + std::to_string(code);
    }
    return text;
}

std::unexpected<Error> openssl_fail(std::string what) {
    const auto errors = openssl_errors();
    return fail(ErrorCode::Failed, errors.empty() ? std::move(what) : what + ": " + errors);
}

const BIO_METHOD* make_bio_method(const BioFunctions& functions) {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, functions.name);
    if (!method) throw std::bad_alloc();
    if (functions.read) BIO_meth_set_read(method, functions.read);
    if (functions.write) BIO_meth_set_write(method, functions.write);
    if (functions.control) BIO_meth_set_ctrl(method, functions.control);
    return method;
}

BIO* new_bio(const BIO_METHOD* method, void* data) {
    BIO* bio = BIO_new(method);
    if (!bio) throw std::bad_alloc();
    BIO_set_data(bio, data);
    BIO_set_init(bio, 1);
    return bio;
}

std::string bio_text(BIO* bio) {
    char* data = nullptr;
    const auto size = BIO_get_mem_data(bio, &data);
    return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

int no_passphrase(char* /* buffer */, int /* size */, int /* writing */, void* /* data */) noexcept {
    return -1;
}

Result<std::string> to_pem(X509* certificate) {
    const BioPtr bio(BIO_new(BIO_s_mem()));
    if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1)
        return openssl_fail("cannot encode a certificate");
    return bio_text(bio.get());
}

Result<std::string> plain_certificate(const std::string& pem) {
    const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    const CertificatePtr certificate(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
    if (!certificate) return openssl_fail("not a certificate in PEM");
    return to_pem(certificate.get());
}

} // namespace p2prc::net

#include "net/openssl.h"

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

std::string bio_text(BIO* bio) {
    char* data = nullptr;
    const auto size = BIO_get_mem_data(bio, &data);
    return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

} // namespace p2prc::net

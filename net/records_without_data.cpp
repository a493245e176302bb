#include "net/records_without_data.h"

#include <utility>

namespace p2prc::net {

void RecordsWithoutData::watch(SSL* ssl) noexcept {
    SSL_set_msg_callback(ssl, &RecordsWithoutData::note);
    SSL_set_msg_callback_arg(ssl, this);
}

unsigned RecordsWithoutData::data_came() noexcept {
    const unsigned count = std::exchange(count_, 0);
    return count > 0 ? count - 1 : 0; // the last had the data
}

// SSL_CTX_set_msg_callback(3): called with SSL3_RT_HEADER for the header of each record.
void RecordsWithoutData::note(int write, int, int content, const void*, std::size_t, SSL*,
                              void* self) noexcept {
    if (write == 0 && content == SSL3_RT_HEADER) ++static_cast<RecordsWithoutData*>(self)->count_;
}

} // namespace p2prc::net

// Counts the TLS records that a peer sends without application data between them, such as KeyUpdate.
#pragma once

#include "net/openssl.h"

#include <cstddef>

namespace p2prc::net {

// OpenSSL (3.0) deals with such records inside SSL_read, which does not return while they come: a peer that
// sends nothing else would keep the program from everything else it has to do. RFC 8446 section 4.6.3 sets no
// limit on them. Peers that mean well send a few in hours.
class RecordsWithoutData {
  public:
    static constexpr unsigned most = 32; // in a row, the one with data that ends it included

    RecordsWithoutData() = default;
    RecordsWithoutData(const RecordsWithoutData&) = delete;
    RecordsWithoutData& operator=(const RecordsWithoutData&) = delete;

    // Counts those of `ssl`, which this must outlive, from now on: call it after the handshake.
    void watch(SSL* ssl) noexcept;
    // SSL_read has returned data, out of one record. Returns how many have come without any before that.
    unsigned data_came() noexcept;
    // Nothing more may be read for OpenSSL: the peer is to be cut off.
    bool too_many() const noexcept { return count_ > most; }

  private:
    static void note(int write, int version, int content, const void* message, std::size_t size, SSL* ssl,
                     void* self) noexcept;

    unsigned count_ = 0;
};

} // namespace p2prc::net

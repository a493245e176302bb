// What OpenSSL reads of a client: its first bytes, which were read already, then the socket.
#pragma once

#include "net/records_without_data.h"

#include <openssl/bio.h>

#include <cstddef>
#include <string>

namespace p2prc::connector {

class TlsInput {
  public:
    TlsInput(int socket, std::string received) noexcept : socket_(socket), received_(std::move(received)) {}
    TlsInput(const TlsInput&) = delete;
    TlsInput& operator=(const TlsInput&) = delete;

    // For SSL_set0_rbio; this object must outlive it.
    BIO* make_bio();
    // The client has shaken hands: from now on, one that sends too many records without data is cut off.
    void secured(SSL* ssl) noexcept { idle_.watch(ssl); }
    // SSL_read has returned data. Returns how many records came without any before that.
    unsigned data_came() noexcept { return idle_.data_came(); }

  private:
    static int read_from(BIO* bio, char* data, int size) noexcept;
    static long control(BIO* bio, int command, long, void*) noexcept;

    int socket_;
    std::string received_;
    std::size_t used_ = 0; // of received_
    bool ended_ = false;   // the client's FIN came
    net::RecordsWithoutData idle_;
};

} // namespace p2prc::connector

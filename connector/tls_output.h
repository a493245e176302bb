// What OpenSSL writes to a socket, and what the socket has not taken yet.
//
// OpenSSL must not be left with a record of ours that is written in part: if it then reads two messages of
// the client's about keys (RFC 8446 section 4.6.3), the first of which asks for an answer, it fails with "bad
// length" (seen with 3.0.19). With this it hands over each record as a whole.
#pragma once

#include <openssl/bio.h>
#include <sys/types.h>

#include <string>

namespace p2prc::connector {

class TlsOutput {
  public:
    explicit TlsOutput(int socket) noexcept : socket_(socket) {}
    TlsOutput(const TlsOutput&) = delete;
    TlsOutput& operator=(const TlsOutput&) = delete;

    // For SSL_set0_wbio; this object must outlive it. OpenSSL has to try again only if much is waiting.
    BIO* make_bio();

    // How many bytes the socket has not taken.
    std::size_t waiting() const noexcept { return waiting_.size(); }
    // The socket may have room again.
    void set_writable() noexcept { writable_ = true; }
    // Writes what is waiting, if there is room. False: the socket failed.
    bool flush();

  private:
    static int write_to(BIO* bio, const char* data, int size) noexcept;
    // How much the socket took; below zero if it failed.
    ssize_t send(const char* data, std::size_t size);

    int socket_;
    bool writable_ = true;
    std::string waiting_; // empty nearly always
};

} // namespace p2prc::connector

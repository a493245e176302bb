// Reads the head of one HTTP/1 request, strictly, to learn which host and path it is for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc::edge {

struct HttpRequest {
    std::string method;
    std::string path; // origin form: starts with '/', query included
    std::string host; // lower case, without a trailing dot or port
    std::string port; // as given, often empty
};

// An incremental reader for one connection. It keeps only an offset. It does not read a body.
class HttpHeadReader {
  public:
    enum class Status { NeedMore, Refused, Ready };
    static constexpr std::size_t max_bytes = 16 * 1024;

    // `received` is all that has arrived; each call passes the same bytes and more.
    Status read(std::string_view received);

    const HttpRequest& request() const noexcept { return request_; } // after Ready
    int refusal() const noexcept { return refusal_; }                // after Refused: an HTTP status code

  private:
    Status refuse(int status) noexcept;

    std::size_t scanned_ = 0;
    int refusal_ = 0;
    HttpRequest request_;
};

// Whether a connection that starts like this may speak HTTP/1: a method of capital letters, then a space.
// With too few bytes to tell, the answer is yes.
bool looks_like_http(std::string_view received) noexcept;

// The whole head, up to and with its empty line: the request, or the status code to refuse it with.
int parse_http_head(std::string_view head, HttpRequest& request);

} // namespace p2prc::edge

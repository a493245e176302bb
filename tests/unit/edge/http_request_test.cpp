// Request heads as browsers, scripts and attackers send them.
#include "edge/http/request.h"
#include "edge/http/response.h"

#include <gtest/gtest.h>

namespace p2prc::edge {
namespace {

using Status = HttpHeadReader::Status;

int refusal(std::string_view head) {
    HttpHeadReader reader;
    const auto status = reader.read(head);
    EXPECT_NE(status, Status::NeedMore) << head;
    return status == Status::Refused ? reader.refusal() : 0;
}

HttpRequest request(std::string_view head) {
    // Byte by byte, and the same at once.
    HttpHeadReader slow, fast;
    for (std::size_t size = 1; size < head.size(); ++size)
        EXPECT_EQ(slow.read(head.substr(0, size)), Status::NeedMore) << head.substr(0, size);
    EXPECT_EQ(slow.read(head), Status::Ready) << slow.refusal();
    EXPECT_EQ(fast.read(head), Status::Ready) << fast.refusal();
    EXPECT_EQ(slow.request().path, fast.request().path);
    return fast.request();
}

TEST(HttpRequest, HostAndPath) {
    const auto got = request("GET /a/b?c=d HTTP/1.1\r\nUser-Agent: x\r\nHost: App.Home.Example\r\n\r\n");
    EXPECT_EQ(got.method, "GET");
    EXPECT_EQ(got.path, "/a/b?c=d");
    EXPECT_EQ(got.host, "app.home.example");
    EXPECT_EQ(got.port, "");
}

TEST(HttpRequest, HostWithPortAndDot) {
    EXPECT_EQ(request("GET / HTTP/1.1\r\nhost:\t a.example.:8080 \r\n\r\n").port, "8080");
    EXPECT_EQ(request("GET / HTTP/1.1\r\nhost: a.example.:8080\r\n\r\n").host, "a.example");
    EXPECT_EQ(request("GET / HTTP/1.0\r\nHost: a.example:\r\n\r\n").port, "");
}

TEST(HttpRequest, TheTargetsHostGoesFirst) {
    const auto got = request("GET HTTP://a.example:81/x HTTP/1.1\r\nHost: b.example\r\n\r\n");
    EXPECT_EQ(got.host, "a.example");
    EXPECT_EQ(got.port, "81");
    EXPECT_EQ(got.path, "/x");
    EXPECT_EQ(request("GET http://a.example?q HTTP/1.1\r\nHost: a.example\r\n\r\n").path, "/?q");
}

TEST(HttpRequest, Refused) {
    for (const auto* head : {
             "GET / HTTP/1.1\r\n\r\n",          // no host
             "GET / HTTP/1.1\r\nHost:\r\n\r\n", // an empty one
             "GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n",
             "GET / HTTP/1.1\r\nHost : a.example\r\n\r\n",              // space before the colon
             "GET / HTTP/1.1\r\nHost: a.example\r\n folded: x\r\n\r\n", // a folded line
             "GET / HTTP/1.1\r\nHost: a.example/evil\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a@b.example\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a.example:99999\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a.example\r\nX: a\nb\r\n\r\n",
             "GET a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
             "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
             "GET /a b HTTP/1.1\r\nHost: a.example\r\n\r\n",
             "GET /\xc3\xa9 HTTP/1.1\r\nHost: a.example\r\n\r\n",
             "GET /\r\nHost: a.example\r\n\r\n",
             "get / HTTP/1.1\r\nHost: a.example\r\n\r\n",
             "\x16\x03\x01",
         })
        EXPECT_EQ(refusal(head), 400) << head;
    EXPECT_EQ(refusal("GET / HTTP/2.0\r\nHost: a.example\r\n\r\n"), 505);
    EXPECT_EQ(refusal("GET /" + std::string(9000, 'x') + " HTTP/1.1\r\nHost: a.example\r\n\r\n"), 414);
    EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: a.example\r\nX: " + std::string(17000, 'x')), 431);
}

TEST(HttpRequest, WhatSpeaksHttp) {
    EXPECT_TRUE(looks_like_http("G"));
    EXPECT_TRUE(looks_like_http("GET / HTT"));
    EXPECT_FALSE(looks_like_http("SSH-2.0-x"));
    EXPECT_FALSE(looks_like_http(" "));
    EXPECT_FALSE(looks_like_http(std::string(40, 'A')));
}

TEST(HttpResponse, RedirectKeepsHostPathAndMethod) {
    const auto got = request("POST /p?q HTTP/1.1\r\nHost: a.example:8443\r\n\r\n");
    EXPECT_NE(https_redirect(got, "").find("308 Permanent Redirect\r\nLocation: https://a.example/p?q\r\n"),
              std::string::npos);
    EXPECT_NE(https_redirect(got, "8443").find("Location: https://a.example:8443/p?q\r\n"),
              std::string::npos);
    EXPECT_NE(https_redirect(got, "443").find("Location: https://a.example/p?q\r\n"), std::string::npos);
}

TEST(HttpResponse, Plain) {
    EXPECT_TRUE(plain_response(421).starts_with("HTTP/1.1 421 Misdirected Request\r\n"));
    EXPECT_TRUE(plain_response(404, "gone\n").ends_with("\r\n\r\ngone\n"));
    EXPECT_TRUE(plain_response(404, "gone\n", true).ends_with("Connection: close\r\n\r\n"));
    EXPECT_TRUE(is_acme_challenge("/.well-known/acme-challenge/token"));
    EXPECT_FALSE(is_acme_challenge("/x/.well-known/acme-challenge/token"));
}

} // namespace
} // namespace p2prc::edge

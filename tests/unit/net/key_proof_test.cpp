#include "net/key_proof.h"

#include <gtest/gtest.h>

namespace p2prc::net {
namespace {

TEST(KeyProof, ShowsTheKey) {
    const auto identity = Identity::generate();
    const auto proof = prove_key(*identity, as_bytes("this connection"));
    ASSERT_TRUE(proof) << proof.error().message;
    EXPECT_EQ(proven_key(*proof, as_bytes("this connection")), identity->fingerprint());
}

TEST(KeyProof, IsWorthNothingOnAnotherConnection) {
    const auto proof = prove_key(*Identity::generate(), as_bytes("this connection"));
    const auto refused = proven_key(*proof, as_bytes("that connection"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::NotPermitted);
}

TEST(KeyProof, AnothersKeyCannotBePutInFrontOfOnesOwnSignature) {
    const auto context = as_bytes("this connection");
    const auto mine = *prove_key(*Identity::generate(), context);
    const auto theirs = *prove_key(*Identity::generate(), as_bytes("seen elsewhere"));
    EXPECT_FALSE(proven_key(theirs.substr(0, theirs.find('.')) + mine.substr(mine.find('.')), context));
}

TEST(KeyProof, NonsenseIsRefused) {
    const auto context = as_bytes("this connection");
    const auto proof = *prove_key(*Identity::generate(), context);
    for (const std::string& bad :
         {std::string(), std::string("."), std::string("a.b"), std::string("!.!"), proof.substr(0, 40),
          proof.substr(0, proof.find('.') + 1), proof.substr(proof.find('.')), proof + "AAAA"})
        EXPECT_FALSE(proven_key(bad, context)) << bad;
}

} // namespace
} // namespace p2prc::net

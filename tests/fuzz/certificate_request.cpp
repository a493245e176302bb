// What a member sends to the root to be signed: a certificate comes of it or an error, and nothing of the
// request is in the certificate but the key.
#include "daemon/fleet/web_ca.h"
#include "tests/fuzz/require.h"

#include <cstdint>
#include <cstdlib>

using namespace p2prc;

namespace {

daemon::WebCa make_ca() {
    std::string pattern = std::filesystem::temp_directory_path() / "p2prc-fuzz-XXXXXX";
    fuzz::require(mkdtemp(pattern.data()) != nullptr);
    auto made = daemon::WebCa::load_or_create(pattern, "home.example");
    fuzz::require(made.has_value());
    std::filesystem::remove_all(pattern);
    return std::move(*made);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const daemon::WebCa ca = make_ca();
    const std::string request(reinterpret_cast<const char*>(data), size);
    const auto chain = ca.sign("wiki.home.example", request, 1'700'000'000);
    if (!chain) return 0;
    fuzz::require(chain->ends_with(ca.certificate_pem()));
    fuzz::require(!ca.sign("wiki.other.example", request, 1'700'000'000));
    return 0;
}

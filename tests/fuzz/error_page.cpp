// Any bytes as what a visitor says to the page: the answer is whole or nothing, and what was decided stays.
#include "connector/http_page.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const p2prc::connector::Page page{p2prc::connector::Trouble::Starting, "app.home.example"};
    const auto whole = p2prc::connector::error_page(bytes, page);
    for (std::size_t have = 0; have < size; ++have) {
        const auto part = p2prc::connector::error_page(bytes.substr(0, have), page);
        if (part && part != whole) std::abort();
    }
    if (whole && !whole->empty() && !whole->starts_with("HTTP/1.1 503 Service Unavailable\r\n")) std::abort();
    return 0;
}

// Any bytes as the head of an HTTP request: what is taken must be safe to write into a Location field.
#include "edge/http/request.h"

#include <algorithm>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using p2prc::edge::HttpHeadReader;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (bytes.empty()) return 0;
    HttpHeadReader whole, parts;
    const auto at_once = whole.read(bytes);
    auto status = HttpHeadReader::Status::NeedMore;
    for (std::size_t have = 1; have <= size && status == HttpHeadReader::Status::NeedMore; ++have)
        status = parts.read(bytes.substr(0, have));
    if ((status == HttpHeadReader::Status::Ready) != (at_once == HttpHeadReader::Status::Ready)) std::abort();
    if (at_once != HttpHeadReader::Status::Ready) return 0;
    const auto plain = [](char c) { return c > ' ' && c < 0x7f; };
    const auto& request = whole.request();
    if (request.host.empty() || !request.path.starts_with('/') || !std::ranges::all_of(request.host, plain) ||
        !std::ranges::all_of(request.path, plain) || !std::ranges::all_of(request.port, plain))
        std::abort();
    return 0;
}

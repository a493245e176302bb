// The name servers of a zone, as the edge makes them and as the registrar is told of them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc {

struct NameServer {
    std::string name; // "ns1.home.example"
    std::string ipv4; // empty: none
    std::string ipv6;
    friend bool operator==(const NameServer&, const NameServer&) = default;
};

// ns1, ns2, ...: each has one of the addresses of each family, in the order given, so that a registry that
// wants two servers with addresses of their own gets them as soon as there are two. A text that is not an
// address is left out.
std::vector<NameServer> name_servers(std::string_view zone, std::span<const std::string> addresses);

} // namespace p2prc

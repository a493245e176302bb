// Numbers of the DNS protocol that this server deals in.
#pragma once

#include <cstddef>
#include <cstdint>

namespace p2prc::edge::dns {

namespace type {
inline constexpr std::uint16_t A = 1, NS = 2, MD = 3, MF = 4, CNAME = 5, SOA = 6, MB = 7, MG = 8, MR = 9,
                               PTR = 12, MINFO = 14, MX = 15, TXT = 16, SIG = 24, KEY = 25, AAAA = 28,
                               NXT = 30, SRV = 33, DNAME = 39, OPT = 41, DS = 43, RRSIG = 46, NSEC = 47,
                               NSEC3 = 50, NSEC3PARAM = 51, TLSA = 52, SVCB = 64, HTTPS = 65, TSIG = 250,
                               IXFR = 251, AXFR = 252, ANY = 255, CAA = 257;
}

// Types 128-255 are questions or per-message data (RFC 6895 section 3.1): no zone holds them.
inline constexpr bool is_meta(std::uint16_t t) noexcept {
    return t == 0 || t == type::OPT || (t >= 128 && t <= 255);
}

inline constexpr std::uint16_t class_in = 1;
inline constexpr std::uint16_t class_any = 255;

enum class Rcode : std::uint8_t {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
    NotAuth = 9,
    BadVers = 16, // the upper bits travel in the OPT record (RFC 6891 section 6.1.3)
};

inline constexpr std::size_t header_size = 12;
inline constexpr std::size_t opt_size = 11;
inline constexpr std::size_t udp_plain = 512; // RFC 1035 section 4.2.1
inline constexpr std::size_t udp_edns = 1232; // fits the smallest IPv6 MTU: never a fragment
inline constexpr std::size_t tcp_limit = 65535;

inline constexpr std::uint16_t flag_qr = 0x8000, flag_aa = 0x0400, flag_tc = 0x0200, flag_rd = 0x0100,
                               flag_cd = 0x0010, mask_opcode = 0x7800;
inline constexpr std::uint16_t flag_do = 0x8000; // in the OPT record's flags

} // namespace p2prc::edge::dns

#!/usr/bin/python3
"""Asks our DNS server and others the same questions about the same zone, and compares what they say.

Every owner, empty non-terminal, child, wildcard child, name below a cut and some random ones, times the types, times {EDNS with DO,
no EDNS, 512 bytes}: RCODE, AA, TC and the sorted sections must agree. Then the same names through unbound, which varies the
case of names. Exit status 77 where no other server is installed.

  tests/lab/dns_differential.py --server PROGRAM [--peer nsd|knot]... [--verbose]
"""

import argparse
import random
import socket
import sys
import tempfile

sys.dont_write_bytecode = True

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

import dns_peers

ZONE = "home.example"
TEXT = """$ORIGIN home.example.
$TTL 300
@ SOA ns1 hostmaster 2024010101 3600 900 1209600 60
@ NS ns1
@ NS ns.elsewhere.net.
@ A 192.0.2.80
@ MX 10 mail
@ MX 20 backup.elsewhere.net.
@ TXT "v=spf1 mx -all"
@ CAA 0 issue "letsencrypt.org"
@ HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.80
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
mail A 192.0.2.25
MiXed A 192.0.2.26
www CNAME @
deep.down.here A 192.0.2.4
a.b.c.d.e TXT "deep"
*.wild A 192.0.2.5
*.wild TXT "wildcard"
*.wild MX 5 mail
blocked.wild TXT "blocks A"
host.ent.wild A 192.0.2.6
*.under.wild CNAME mail
sub.*.star A 192.0.2.7
*.calias CNAME www
alias CNAME mail
chain CNAME alias
gone CNAME nowhere
gonewild CNAME nothing.here
out CNAME www.example.net.
towild CNAME foo.wild
tocut CNAME www.sub
toent CNAME down.here
sub NS ns.sub
sub NS ns1
ns.sub A 192.0.2.10
ns.sub AAAA 2001:db8::10
www.sub A 192.0.2.99
signed NS ns.elsewhere.net.
signed DS 12345 13 2 8F4A1B0F2B6E6F8C3B1D5A7E9C0D2F4A6B8C0E1F2A3B4C5D6E7F8A9B0C1D2E3F
deeper.cut NS ns.deeper.cut
ns.deeper.cut A 192.0.2.11
_sip._udp SRV 0 5 5060 mail
_443._tcp.www2 TLSA 3 1 1 8F4A1B0F2B6E6F8C3B1D5A7E9C0D2F4A6B8C0E1F2A3B4C5D6E7F8A9B0C1D2E3F
svc SVCB 1 mail.home.example. mandatory=port port=8443
pointer PTR mail
generic TYPE65280 \\# 3 010203
_acme-challenge TXT "one"
_acme-challenge TXT "two"
""" + "".join(f'big TXT "{"x" * 50}{i}"\n' for i in range(15)) + "".join(f'huge TXT "{"y" * 200}{i}"\n' for i in range(30)) + "tobig CNAME big\n"

TYPES = ["A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "CAA", "SRV", "HTTPS", "SVCB", "PTR", "TLSA", "DS", "RRSIG", "TYPE65280", "TYPE65281"]


def names():
    owners = set()
    for line in TEXT.splitlines()[2:]:
        owner = line.split()[0]
        owners.add(ZONE if owner == "@" else f"{owner}.{ZONE}")
    found = set(owners)
    for owner in owners:
        name = dns.name.from_text(owner)
        while len(name.labels) > 3:
            name = name.parent()
            found.add(name.to_text(True))
    chance = random.Random(1)
    for name in list(found):
        found.add("child." + name)
        found.add("*." + name)
        found.add("x.y." + name)
        found.add("".join(chance.choice("abcdefghijklmnopqrstuvwxyz0123456789-") for _ in range(12)) + "." + name)
        found.add("".join(c.upper() if chance.random() < 0.5 else c for c in name))
    found |= {"example", "example.net", ".", "nothome.example", "home.example.net", "xhome.example"}
    return sorted(found)


def questions():
    for name in names():
        for kind in TYPES:
            for variant in ("do", "plain", "512"):
                query = dns.message.make_query(name, kind)
                query.flags = dns.flags.RD if variant == "do" else 0
                if variant == "do":
                    query.use_edns(0, dns.flags.DO, 1232)
                elif variant == "512":
                    query.use_edns(0, 0, 512)
                yield f"{name} {kind} {variant}", query


def section(rrsets):
    return sorted(f"{rrset.name.to_text().lower()} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text().lower()}"
                  for rrset in rrsets for rdata in rrset)


def summary(answer):
    """What must agree. Where an answer is truncated each may keep what it likes."""
    truncated = bool(answer.flags & dns.flags.TC)
    said = {"rcode": dns.rcode.to_text(answer.rcode()), "tc": truncated, "aa": bool(answer.flags & dns.flags.AA),
            "rd": bool(answer.flags & dns.flags.RD), "ra": bool(answer.flags & dns.flags.RA), "edns": answer.edns,
            "do": bool(answer.ednsflags & dns.flags.DO)}
    if not truncated:
        said["answer"] = section(answer.answer)
        said["authority"] = section(answer.authority)
        # Addresses are compared where they matter: in a referral.
        if any(rrset.rdtype == dns.rdatatype.NS for rrset in answer.authority):
            said["additional"] = section(answer.additional)
    return said


class Client:
    def __init__(self, port):
        self.port = port
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.connect(("127.0.0.1", port))
        self.udp.settimeout(5)
        self.tcp = None

    def ask(self, wire):
        self.udp.send(wire)
        return self.udp.recv(65535)

    def ask_tcp(self, query):
        if self.tcp is None:
            self.tcp = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        dns.query.send_tcp(self.tcp, query)
        return dns.query.receive_tcp(self.tcp)[0]


def compare(ours, peer, verbose):
    """Counts the questions asked and those answered differently without a known reason."""
    mine, other = Client(ours.port), Client(peer.port)
    asked = different = 0
    for label, query in questions():
        wire = query.to_wire()
        raw = mine.ask(wire)
        # The question comes back byte for byte.
        size = 12 + len(query.question[0].name.to_wire()) + 4
        if raw[12:size] != wire[12:size]:
            print(f"{label}: the question came back changed")
            different += 1
        answer, theirs = dns.message.from_wire(raw), dns.message.from_wire(other.ask(wire))
        if theirs.flags & dns.flags.TC and answer.flags & dns.flags.TC:
            answer, theirs = mine.ask_tcp(query), other.ask_tcp(query)
        a, b = summary(answer), summary(theirs)
        asked += 1
        if a != b and not expected(peer.name, query):
            different += 1
            if different <= 40 or verbose:
                print(f"{label}:")
                for key in a.keys() | b.keys():
                    if a.get(key) != b.get(key):
                        print(f"  {key}: p2prc {a.get(key)}\n  {' ' * len(key)}  {peer.name} {b.get(key)}")
    return asked, different


def expected(peer, query):
    """knotd does not follow a CNAME to RRSIGs, as if the CNAME's own were asked for; NSD follows it."""
    return peer == "knot" and query.question[0].rdtype == dns.rdatatype.RRSIG


def resolve(resolver, zone_names):
    """Names that exist resolve through a resolver that randomises case; it says SERVFAIL to a name that came back changed."""
    failed = 0
    for name, kind in zone_names:
        query = dns.message.make_query(f"{name}.{ZONE}", kind)
        answer, _ = dns.query.udp_with_fallback(query, "127.0.0.1", timeout=10, port=resolver.port)
        if answer.rcode() != dns.rcode.NOERROR or not answer.answer:
            print(f"unbound: {name} {kind}: {dns.rcode.to_text(answer.rcode())}")
            failed += 1
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--peer", action="append", choices=["nsd", "knot"])
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    peers = [name for name in options.peer or ["nsd", "knot"] if dns_peers.available({"knot": "knotd"}.get(name, name))]
    if not peers:
        print("neither nsd nor knot is installed")
        return 77
    failed = 0
    with tempfile.TemporaryDirectory(prefix="p2prc-dns-") as directory:
        zone_file = dns_peers.write(directory, "test.zone", TEXT)
        with dns_peers.ours(options.server, directory, ZONE, zone_file) as ours:
            for name in peers:
                with getattr(dns_peers, name)(directory, ZONE, zone_file) as peer:
                    asked, different = compare(ours, peer, options.verbose)
                    print(f"{name}: {asked} questions, {different} answered differently")
                    failed += different
            if dns_peers.available("unbound"):
                with dns_peers.unbound(directory, ZONE, ours.port) as resolver:
                    wanted = [("www", "A"), ("chain", "A"), ("x.wild", "MX"), ("mixed", "A"), ("deep.down.here", "A"), ("huge", "TXT"),
                              ("_acme-challenge", "TXT"), ("a.b.c.d.e", "TXT"), ("svc", "SVCB"), ("towild", "TXT")]
                    broken = resolve(resolver, wanted)
                    print(f"unbound: {len(wanted)} names, {broken} not resolved")
                    failed += broken
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

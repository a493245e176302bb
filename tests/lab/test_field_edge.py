"""The edge in the field: clients that pause, applications with certificates of their own, addresses behind a 1:1 NAT."""

from lab import wait_until
from lab.household import domain, make_fleet, spin, trust_fleet

MACHINES = ["root", "acme", "client", "home1"]

SIZE = 40_000_000
PAUSE = 45

# An application at home: GET gives SIZE bytes, PUT takes some after a pause and says how many came.
BULK = r'''
import http.server, sys, time
port, size, pause = (int(word) for word in sys.argv[1:4])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", str(size)); self.end_headers()
        block = bytes(1 << 16)
        for at in range(0, size, len(block)):
            self.wfile.write(block[:size - at])
    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        got = len(self.rfile.read(min(left, 1000)))
        time.sleep(pause)
        while got < left:
            block = self.rfile.read(min(1 << 16, left - got))
            if not block: break
            got += len(block)
        body = b"%d" % got
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''

# A client: a download with a pause in it, or an upload to an application that pauses. Says how many bytes arrived.
TRANSFER = r'''
import socket, ssl, sys, time
what, name, size, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
s = ssl.create_default_context().wrap_socket(socket.create_connection((name, 443), 20), server_hostname=name)
s.settimeout(120)
if what == "download":
    s.sendall(f"GET /f HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
else:
    s.sendall(f"PUT /f HTTP/1.0\r\nHost: {name}\r\nContent-Length: {size}\r\n\r\n".encode())
    block = bytes(1 << 16)
    for at in range(0, size, len(block)):
        s.sendall(block[:size - at])
d = b""
while b"\r\n\r\n" not in d:
    more = s.recv(65536)
    assert more, "no answer"
    d += more
body = d.split(b"\r\n\r\n", 1)[1]
if what == "download":
    got = len(body)
    time.sleep(pause)
    while b := s.recv(1 << 16): got += len(b)
    print(got)
else:
    while b := s.recv(1 << 16): body += b
    print(body.decode())
'''

TRANSFERS = {}  # those under way, by what they do


def test_a_fleet_whose_clients_pause(lab):
    make_fleet(lab, "home1")
    trust_fleet(lab, lab.client)
    lab.home1.write("/root/bulk.py", BULK)
    lab.home1.p2prc("spin", "bulk", "--port", "8101", "--domain", "bulk.home.example", "--", "/usr/bin/python3", "-c", BULK, "8101", str(SIZE), str(PAUSE))
    lab.client.write("/root/transfer.py", TRANSFER)
    wait_until(lambda: domain(lab.root, "bulk.home.example")["state"] == "live", 60, "bulk to be served")
    wait_until(lambda: lab.client.ok("curl -sS --max-time 20 -r 0-99 -o /dev/null https://bulk.home.example/"), 60, "bulk to answer")
    for what in ("download", "upload"):
        TRANSFERS[what] = lab.client.popen(["python3", "/root/transfer.py", what, "bulk.home.example", str(SIZE), str(PAUSE)], stdout=-1, stderr=-1, text=True)


def test_an_application_that_ends_tls_itself_gets_its_certificate_probe(lab):
    """A certificate authority's hello, acme-tls/1 alone (RFC 8737), goes to the application; that of a name of the node's does not."""
    lab.home1.run(["sh", "-ec", """
        mkdir -p /srv/own && cd /srv/own
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=the-applications-own 2>&1
        chmod 644 key.pem"""])
    spin(lab.home1, "own", "exec openssl s_server -accept 127.0.0.1:$PORT -cert /srv/own/cert.pem -key /srv/own/key.pem -alpn acme-tls/1 -quiet", port=0)
    said = lab.home1.p2prc("map-domain", "own.home.example", "--tls", "passthrough")
    assert "TLS-ALPN-01" in said.err + said.out
    def probe(name):
        return lab.client.run(f"openssl s_client -connect 203.0.113.10:443 -servername {name} -alpn acme-tls/1 </dev/null 2>&1", check=False, timeout=30).out
    wait_until(lambda: "the-applications-own" in probe("own.home.example") and "ALPN protocol: acme-tls/1" in probe("own.home.example"), 60,
               "the application to answer the probe")
    assert "unrecognized name" in probe("bulk.home.example")
    lab.home1.p2prc("kill", "own")
    lab.home1.p2prc("unmap-domain", "own.home.example")


def test_the_status_line_follows(lab):
    wait_until(lambda: "1 route, 2 homes connected" in lab.root.unit("p2prc-edge.service")["StatusText"], 60, "the status line to say what is served")


def test_dns_answers_where_443_does(lab):
    """A reserved address arrives at a private one beside another public one; the fleet's address is on no interface."""
    lab.root.run("ip address add 10.16.0.5/16 dev eth0")
    lab.client.run("ip route replace 10.16.0.5/32 via 203.0.113.10")
    lab.root.p2prc("init", "--public-ip", "203.0.113.77", check=False)
    ask = "dig +time=2 +tries=1 @10.16.0.5 home.example SOA +short"
    wait_until(lambda: "ns1.home.example" in lab.client.run(ask, check=False).out, 60, "DNS to answer at the private address")
    lab.root.p2prc("init", "--public-ip", "203.0.113.10", check=False)
    wait_until(lambda: "ns1.home.example" not in lab.client.run(ask, check=False).out, 60, "DNS to leave the private address again")


def test_parent_and_child_agree(lab):
    """What `init` says to enter at the registrar is what the zone says of itself."""
    for addresses in (["203.0.113.10"], ["203.0.113.10", "203.0.113.11"]):
        records = lab.root.json("init", *[word for address in addresses for word in ("--public-ip", address)])["records"]
        said = sorted((record["name"], record["type"], record["data"]) for record in records)
        def served():
            found = [("home.example", "NS", name.rstrip(".")) for name in lab.client.run("dig @203.0.113.10 home.example NS +short").out.split()]
            for name in [entry[2] for entry in found]:
                found += [(name, "A", address) for address in lab.client.run(f"dig @203.0.113.10 {name} A +short").out.split()]
            return sorted(found)
        wait_until(lambda: served() == said, 30, f"the zone to say {said}")
    lab.root.p2prc("init", "--public-ip", "203.0.113.10")
    soa = lab.client.run("dig @203.0.113.10 home.example SOA +short").out.split()
    refresh, retry, expire, minimum = (int(value) for value in soa[3:7])
    assert 3600 <= refresh <= 86400 and 900 <= retry <= 28800 and 604800 <= expire <= 3600000 and 180 <= minimum <= 86400, soa


def test_a_transfer_that_pauses_goes_on(lab):
    for what, process in TRANSFERS.items():
        out, err = process.communicate(timeout=240)
        assert out.strip() == str(SIZE), (what, out, err)

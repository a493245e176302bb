"""Strangers at the root's door: half-open handshakes of many networks, and a second hello of another protocol."""

import hashlib
import hmac
import json
import os
import signal
import struct

from lab import wait_until
from lab.household import invite, make_fleet, node_state
from lab.link import connect, read_token

MACHINES = ["root", "home1", "client"]

# Holds connections of many /64s that have said hello and then nothing, and opens new ones for those that end. Each is
# counted on standard output. It ends by itself.
FLOOD = r"""
import select, socket, ssl, sys, time
import json
networks, of_each, seconds, target = 20, 15, 90, "2001:db8:113::10"
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.set_alpn_protocols(["p2prc-control/1"])
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
hello = context.wrap_bio(incoming, outgoing)
try:
    hello.do_handshake()
except ssl.SSLWantReadError:
    pass
hello = outgoing.read()
def come(network):
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    s.bind((f"2001:db8:200:{network:x}::1", 0))
    s.settimeout(2)
    try:
        s.connect((target, 443))
        s.sendall(hello)
    except OSError:
        s.close()
        return None
    return s
held = {}
opened = 0
end = time.monotonic() + seconds
while time.monotonic() < end:
    for network in range(networks):
        mine = held.setdefault(network, [])
        for s in list(mine):
            if select.select([s], [], [], 0)[0]:
                try:
                    gone = not s.recv(65536)
                except OSError:
                    gone = True
                if gone:
                    s.close()
                    mine.remove(s)
        while len(mine) < of_each:
            s = come(network)
            if not s:
                break
            mine.append(s)
            opened += 1
    print(json.dumps({"opened": opened, "held": sum(map(len, held.values()))}), flush=True)
    time.sleep(0.02)
"""


def setup(lab):
    make_fleet(lab, "home1")
    for network in range(20):
        lab.client.run(f"ip -6 address add 2001:db8:200:{network:x}::1/64 dev lo nodad")
    lab.root.run("ip -6 route add 2001:db8:200::/48 via 2001:db8:113::20")


def test_members_come_in_past_a_flood_of_half_open_handshakes(lab):
    lab.client.write("/root/flood.py", FLOOD)
    flood = lab.client.popen("python3 /root/flood.py >/root/flood.out 2>&1")

    def said():
        words = lab.client.run("tail -n 1 /root/flood.out", check=False).out
        return json.loads(words) if words.startswith("{") else {"opened": 0, "held": 0}
    try:
        wait_until(lambda: said()["opened"] > 400, 60, "the flood to have filled all places")
        for _ in range(2):
            lab.home1.run("systemctl restart p2prcd")
            wait_until(lambda: lab.home1.json("status")["reachable"], 60, "home1 to be up while the flood goes on")
        before = said()["opened"]
        wait_until(lambda: said()["opened"] > before, 30, "the flood to go on")
        assert flood.poll() is None, "the flood ended too early"
        assert node_state(lab.root, "home1") == "up"
        # A machine that was never here comes in too.
        assert invite(lab)
    finally:
        os.killpg(flood.pid, signal.SIGKILL)
        flood.wait()


def test_failed_handshakes_are_counted_and_not_each_a_line(lab):
    lines = lab.root.journal("-u", "p2prcd", "-g", "handshake failed").splitlines()
    assert len([line for line in lines if "whose handshake failed" in line]) <= 4, lines


def extension(kind, body):
    return struct.pack(">HH", kind, len(body)) + body


def expand(secret, label, context):
    label = b"tls13 " + label
    info = struct.pack(">HB", 32, len(label)) + label + bytes([len(context)]) + context + b"\x01"
    return hmac.digest(secret, info, "sha256")


def client_hello(alpn, share, identity, secret):
    """A ClientHello with a pre-shared key; without a key share it asks for a HelloRetryRequest."""
    name = alpn.encode()
    share = struct.pack(">HHH", 36, 0x1D, 32) + b"\x09" * 32 if share else b"\0\0"
    extensions = (extension(43, b"\x02\x03\x04") + extension(10, b"\0\x02\0\x1d") + extension(13, b"\0\x02\x04\x03")
                  + extension(45, b"\x01\x01") + extension(51, share)
                  + extension(16, struct.pack(">HB", len(name) + 1, len(name)) + name))
    keys = struct.pack(">HH", len(identity) + 6, len(identity)) + identity + b"\0\0\0\0" + struct.pack(">HB", 33, 32)
    extensions += extension(41, keys + b"\0" * 32)
    body = b"\x03\x03" + b"\x07" * 32 + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    early = hmac.digest(b"\0" * 32, secret, "sha256")
    finished = expand(expand(early, b"ext binder", hashlib.sha256(b"").digest()), b"finished", b"")
    binder = hmac.digest(finished, hashlib.sha256(message[:-35]).digest(), "sha256")
    message = message[:-32] + binder
    return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


def test_a_second_hello_of_another_protocol_does_not_end_p2prcd(lab):
    token = read_token(invite(lab))
    identity = token["id"].encode()
    before = lab.root.unit("p2prcd")["MainPID"]
    for first, second in (("p2prc-join/1", "p2prc-control/1"), ("p2prc-control/1", "p2prc-join/1")):
        with connect(lab.client, lab.root.address, 443) as stranger:
            stranger.sendall(client_hello(first, False, identity, token["secret"]))
            answer = stranger.recv(4096)
            if first == "p2prc-join/1":
                # The random of a HelloRetryRequest (RFC 8446 section 4.1.3).
                assert answer[11:15] == b"\xcf\x21\xad\x74", answer
            try:
                stranger.sendall(client_hello(second, True, identity, token["secret"]))
                while stranger.recv(4096):
                    pass
            except OSError:
                pass
    assert lab.root.unit("p2prcd")["MainPID"] == before
    assert node_state(lab.root, "home1") == "up"

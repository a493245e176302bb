#!/usr/bin/env python3
"""What clients of the servers in examples/ say first: speak.py xmpp|minetest|mumble HOST PORT ... Runs on a machine of the lab.

xmpp HOST PORT USER PASSWORD TEXT: logs in by direct TLS, and sends itself the text; prints what arrives.
minetest HOST PORT: greets as a player does; prints the server's version of the protocol.
mumble HOST PORT USER: enters as a user; prints the names of the channels that are there.
"""

import base64
import hashlib
import hmac
import os
import re
import socket
import ssl
import struct
import sys
import time

PATIENCE = 30


def connect(host, port, context):
    return context.wrap_socket(socket.create_connection((host, port), PATIENCE), server_hostname=host)


class Stream:
    """An XMPP stream (RFC 6120), whose elements are found by expressions."""

    def __init__(self, host, port):
        context = ssl.create_default_context()
        context.set_alpn_protocols(["xmpp-client"])  # XEP-0368
        self.host = host
        self.socket = connect(host, port, context)
        self.heard = ""

    def say(self, text):
        self.socket.sendall(text.encode())

    def hear(self, pattern):
        while not (found := re.search(pattern, self.heard, re.S)):
            data = self.socket.recv(65536)
            if not data:
                sys.exit(f"the stream ends before {pattern}: {self.heard}")
            self.heard += data.decode()
        self.heard = self.heard[found.end():]
        return found.group(1)

    def begin(self):
        self.say(f"<?xml version='1.0'?><stream:stream to='{self.host}' version='1.0' xmlns='jabber:client' "
                 "xmlns:stream='http://etherx.jabber.org/streams'>")
        return self.hear("<stream:features>(.*)</stream:features>")

    def log_in(self, user, password):
        """SCRAM-SHA-1 (RFC 5802)."""
        def base(data):
            return base64.b64encode(data).decode()
        first = f"n={user},r={os.urandom(9).hex()}"
        self.say(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>{base(b'n,,' + first.encode())}</auth>")
        challenge = base64.b64decode(self.hear("<challenge[^>]*>([^<]*)<")).decode()
        values = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha1", password.encode(), base64.b64decode(values["s"]), int(values["i"]))
        key = hmac.digest(salted, b"Client Key", "sha1")
        final = f"c={base(b'n,,')},r={values['r']}"
        signature = hmac.digest(hashlib.sha1(key).digest(), f"{first},{challenge},{final}".encode(), "sha1")
        proof = base(bytes(a ^ b for a, b in zip(key, signature)))
        self.say(f"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{base(f'{final},p={proof}'.encode())}</response>")
        return self.hear("<(success|failure)") == "success"


def xmpp(host, port, user, password, text):
    stream = Stream(host, port)
    stream.begin()
    if not stream.log_in(user, password):
        sys.exit("not authorized")
    stream.begin()
    stream.say("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    stream.hear("<jid>([^<]*)<")
    stream.say(f"<presence/><message to='{user}@{host}' type='chat'><body>{text}</body></message>")
    print(stream.hear("<body>([^<]*)<"))


def minetest(host, port):
    """Its documentation is src/network/mtp and networkprotocol.h of Minetest."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.settimeout(1)
    peer = 0

    def send(body, channel=0):
        server.sendto(struct.pack(">IHB", 0x4F457403, peer, channel) + body, (host, port))
    reliable, control, original = b"\x03", b"\x00", b"\x01"
    ack, peer_id = b"\x00\x00", b"\x00\x01"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        # Until it is answered it is sent again: a server that has not yet noted the player drops it.
        send(original + (struct.pack(">HBHHHH", 2, 29, 0, 37, 41, 5) + b"alice" if peer else b""), 1 if peer else 0)
        try:
            while True:
                data = server.recv(65536)
                channel, body = data[6], data[7:]
                if body[:1] == reliable:
                    send(ack + body[1:3], channel)
                    body = body[3:]
                if body[:2] == peer_id:
                    peer, = struct.unpack(">H", body[2:4])
                    break
                if body[:3] == original + b"\x00\x02":
                    print(struct.unpack(">H", body[6:8])[0])
                    send(control + b"\x03")
                    return
        except TimeoutError:
            pass
    sys.exit("no answer")


def mumble(host, port, user):
    """Its documentation is "The Mumble protocol"; a message is a type, a length and a protocol buffer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # as its clients, which ask the user the first time
    server = connect(host, port, context)
    version, authenticate, reject, synchronized, channel_state = 0, 2, 4, 5, 7
    server.sendall(struct.pack(">HI", version, 4) + b"\x08\x84\x86\x04")  # 1.3.4
    server.sendall(struct.pack(">HI", authenticate, 2 + len(user)) + b"\x0a" + bytes([len(user)]) + user.encode())
    stream = server.makefile("rb")
    while head := stream.read(6):
        kind, size = struct.unpack(">HI", head)
        body = stream.read(size)
        if kind == reject:
            sys.exit(f"rejected: {body}")
        if kind == channel_state:
            name = body.index(b"\x1a") + 2
            print(body[name:name + body[name - 1]].decode())
        if kind == synchronized:
            return
    sys.exit("the connection ends")


if __name__ == "__main__":
    what, where, at, *others = sys.argv[1:]
    {"xmpp": xmpp, "minetest": minetest, "mumble": mumble}[what](where, int(at), *others)

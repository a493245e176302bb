"""Many members that are not there: documents in the root's registry, and a control link for each, with a key of its own.

`fill` writes what as many members would have made, by the pattern of one real member; no rule of the registry is asked. `Crowd` then connects
them, from one machine's network: TLS, hello, feed and pings are those of a real member, but nothing that is fed is kept.
Run as a program, this file is the links' process, so that its work is not that of whoever measures.
"""

import hashlib
import json
import os
import random
import selectors
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

PING_SECONDS = 3         # as a member does (member_link.h)
RETRY_SECONDS = 2
GREETING_AT_ONCE = 8     # fewer half-open links than the root lets one network have
GREETING_SECONDS = 20
FIRST_ID = 1_000_000


def name_of(number):
    """The name of a member, by its place in the crowd."""
    return f"member{number}"


def text_of(document):
    """A document as p2prcd writes it."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def make_keys(directory, count):
    """Writes a key and a certificate for each member; returns the fingerprints of the keys."""
    fingerprints = []
    for number in range(count):
        path = f"{directory}/{number}.pem"
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", path,
                               "-subj", "/CN=p2prc", "-days", "30", "-outform", "PEM"], check=True, capture_output=True, text=True).stdout
        with open(path, "a", encoding="ascii") as file:
            file.write(made)
        der = ssl.PEM_cert_to_DER_cert(made)
        # SubjectPublicKeyInfo of a P-256 key (RFC 5480): always the same 26 bytes, then the point.
        begin = der.index(bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"))
        fingerprints.append(hashlib.sha256(der[begin:begin + 91]).hexdigest())
    return fingerprints


def fill(registry, fingerprints, processes, domains, pattern="home1", process="app", domain="app.home.example"):
    """Writes members with those keys, their processes and their domains into a stopped root's registry (lab.conquered).

    Each document is a copy of one of the real member `pattern`, which runs `process` at a port, with `domain` mapped to it.
    """
    found = {key: registry.get(key) for key in registry.keys()}
    record = found[f"/processes/{process}"]
    identity = record["id"]

    def put(key, document, /, **members):
        registry.put(key, text_of({**document, **members}).encode())

    def put_copy(source, key, /, **members):
        if source in found:
            put(key, found[source], **members)
    for number, fingerprint in enumerate(fingerprints):
        name = name_of(number)
        put(f"/nodes/{name}", found[f"/nodes/{pattern}"], name=name, key=fingerprint, connector_key=hashlib.sha256(name.encode()).hexdigest())
        put(f"/live/{name}", found[f"/live/{pattern}"], state="up")
        for family in ("info", "tunnels"):
            put_copy(f"/{family}/{pattern}", f"/{family}/{name}")

    def node_of(number):
        return name_of(number % len(fingerprints))
    for number in range(processes):
        name, node = f"many{number}", node_of(number)
        spec = {**record["spec"], "name": name}
        digest = hashlib.sha256(text_of(spec).encode()).hexdigest()
        who = {member: f"root@{node}" for member in ("created_by", "changed_by") if record.get(member)}
        put(f"/processes/{name}", record, id=FIRST_ID + number, name=name, node=node, spec=spec, digest=digest,
            port=20000 + number // len(fingerprints), **who)
        put(f"/status/{node}/{FIRST_ID + number}", found[f"/status/{pattern}/{identity}"], id=FIRST_ID + number, name=name, node=node, digest=digest,
            **{member: hashlib.sha256(f"{member} {number}".encode()).hexdigest()[:32] for member in ("invocation", "ready_run")})
    for number in range(domains):
        target = number % processes
        node, fqdn = node_of(target), f"name{number}.{domain.split('.', 1)[1]}"
        put(f"/domains/{fqdn}", found[f"/domains/{domain}"], mapping_id=FIRST_ID + number, domain=fqdn, process=f"many{target}",
            process_id=FIRST_ID + target, node=node, port=20000 + target // len(fingerprints), created_by=f"root@{node}")
        for family in ("certificates", "serving"):
            source = f"/{family}/{pattern}/{domain}"
            put_copy(source, f"/{family}/{node}/{fqdn}", **({"domain": fqdn} if "domain" in found.get(source, ()) else {}))


class Crowd:
    """`with Crowd(lab.client, directory, 1000) as crowd:` the links of the members whose keys are in the directory."""

    def __init__(self, machine, directory, members):
        # Not in the machine's container: what it uses is no part of the lab's machines.
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", machine.lab.network.namespace(machine.name), sys.executable, "-B", os.path.abspath(__file__),
             machine.lab.network.address("root"), directory, str(members)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        """The answer to one line."""
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the crowd has ended")
        return json.loads(line)

    def count(self):
        """How many links are up and synced; of what they were fed since the last count the mean and the least, in bytes."""
        return self.ask("count")

    def snapshot(self, number=0):
        """A link anew, without anything that it has: the bytes and the seconds until it is synced."""
        return self.ask("snapshot", str(number))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.wait()


# --- the links' process

class Link:
    """One control link. It dials again when it has lost it."""

    def __init__(self, loop, number, path):
        self.loop = loop
        self.name = name_of(number)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.set_alpn_protocols(["p2prc-control/1"])
        self.context.load_cert_chain(path)
        self.tls = None
        self.events = 0       # bytes of the feed since the last count
        self.empty = False    # it says that it has nothing
        self.reset()

    def reset(self):
        self.unread = b""
        self.shaken = self.greeted = self.synced = False
        self.ping_at = 0

    def dial(self):
        self.reset()
        self.begun = time.monotonic()
        plain = socket.create_connection((self.loop.address, 443), 10)
        plain.setblocking(False)
        self.tls = self.context.wrap_socket(plain, do_handshake_on_connect=False)
        self.loop.selector.register(self.tls, selectors.EVENT_READ, self)
        self.proceed()

    def lose(self):
        if self.tls is not None:
            self.loop.selector.unregister(self.tls)
            self.tls.close()
        self.tls = None
        self.reset()
        self.loop.lost(self)

    def proceed(self):
        try:
            if not self.shaken:
                self.tls.do_handshake()
                self.shaken = True
            while True:
                data = self.tls.recv(65536)
                if not data:
                    return self.lose()
                self.take(data)
        except ssl.SSLWantReadError:
            pass
        except OSError:
            self.lose()

    def take(self, data):
        self.unread += data
        at = 0
        while len(self.unread) >= at + 4:
            size = struct.unpack_from(">I", self.unread, at)[0]
            if len(self.unread) < at + 4 + size:
                break
            self.hear(self.unread[at + 4:at + 4 + size])
            at += 4 + size
        self.unread = self.unread[at:]

    def hear(self, body):
        if not self.greeted:
            # What the root has is what this one says it has.
            hello = json.loads(body)["hello"]
            position = {"store_id": "", "revision": 0} if self.empty else {"store_id": hello["store_id"], "revision": hello["revision"]}
            self.empty = False
            self.say({"hello": {"version": "lab", "features": [], "node": self.name, **position}})
            self.greeted = True
            self.ping_at = time.monotonic() + PING_SECONDS * random.random()
        elif body.startswith(b'{"event":"synced"'):
            self.synced = True
            self.synced_at = time.monotonic()
            self.loop.greeted(self)
        elif body.startswith(b'{"event"'):
            self.events += len(body) + 4

    def say(self, document):
        body = json.dumps(document).encode()
        self.tls.sendall(struct.pack(">I", len(body)) + body)

    def tick(self, now):
        if self.synced and now >= self.ping_at:
            self.ping_at = now + PING_SECONDS
            try:
                self.say({"ping": 1})
            except OSError:
                self.lose()
        elif self.tls is not None and not self.synced and self.loop.measured is not self and now > self.begun + GREETING_SECONDS:
            self.lose()


class Loop:
    def __init__(self, address, directory, members):
        self.address = address
        self.selector = selectors.DefaultSelector()
        self.links = [Link(self, number, f"{directory}/{number}.pem") for number in range(members)]
        self.waiting = [(0, link) for link in self.links]  # when to dial
        self.greeting = set()
        self.measured = None
        self.selector.register(sys.stdin, selectors.EVENT_READ, None)

    def lost(self, link):
        self.greeting.discard(link)
        self.waiting.append((time.monotonic() + RETRY_SECONDS, link))

    def greeted(self, link):
        self.greeting.discard(link)
        if link is self.measured:
            self.measured = None
            self.answer({"bytes": link.events, "seconds": link.synced_at - link.begun})
            link.events = 0

    @staticmethod
    def answer(document):
        print(json.dumps(document), flush=True)

    def obey(self, words):
        if words[0] == "count":
            fed = [link.events for link in self.links]
            for link in self.links:
                link.events = 0
            self.answer({"links": sum(link.synced for link in self.links), "mean": sum(fed) / len(fed), "least": min(fed)})
        elif words[0] == "snapshot":
            self.measured = link = self.links[int(words[1])]
            link.empty, link.events = True, 0
            link.lose()
            self.waiting = [(at, other) for at, other in self.waiting if other is not link]
            self.greeting.add(link)
            link.dial()

    def run(self):
        while True:
            for key, _ in self.selector.select(0.1):
                if key.data is not None:
                    key.data.proceed()
                    continue
                line = sys.stdin.readline()
                if not line:
                    return
                self.obey(line.split())
            now = time.monotonic()
            for at, link in sorted(self.waiting, key=lambda item: item[0]):
                if len(self.greeting) >= GREETING_AT_ONCE or at > now:
                    break
                self.waiting.remove((at, link))
                self.greeting.add(link)
                try:
                    link.dial()
                except OSError:
                    link.lose()
            for link in self.links:
                link.tick(now)


if __name__ == "__main__":
    Loop(sys.argv[1], sys.argv[2], int(sys.argv[3])).run()

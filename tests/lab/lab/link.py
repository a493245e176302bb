"""The root's protocols spoken by hand: a control link with a node's own key, and a join link with an invitation.

For tests of what a conquered node, or a guest with a token, can do to the root: anything can be said, also what p2prcd never would.
"""

import base64
import contextlib
import ctypes
import hashlib
import json
import os
import re
import select
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

from .errors import LabError
from .wait import PATIENCE

MAX_FRAME = 1 << 20
CLONE_NEWNET = 0x40000000
JOIN_EXPORTER = "EXPORTER-p2prc-join-1"


class LinkClosed(LabError):
    """The other end closed the connection, or refused it in the handshake."""


class LinkError(LabError):
    """A request was answered with an error."""

    def __init__(self, method, error):
        super().__init__(f"{method}: {error.get('code')}: {error.get('message')} ({error.get('hint')})")
        self.code = error.get("code")
        self.message = error.get("message", "")
        self.hint = error.get("hint", "")


def _inside(machine, action):
    """Runs action() in a thread that is inside the machine's network namespace; the sockets it makes stay there."""
    result = {}

    def work():
        try:
            with open(f"/run/netns/{machine.lab.network.namespace(machine.name)}", encoding="ascii") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            result["value"] = action()
        except BaseException as error:  # handed to the caller below
            result["error"] = error
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if "error" in result:
        raise result["error"]
    return result["value"]


def connect(machine, address, port, timeout=20):
    """A TCP connection from a machine, as a socket of this process."""
    try:
        return _inside(machine, lambda: socket.create_connection((address, port), timeout * PATIENCE))
    except OSError as error:
        raise LinkClosed(f"{machine.name} cannot connect to {address}:{port}: {error}") from None


def frame(document):
    """A document as it goes over the wire; bytes are framed as they are."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack(">I", len(body)) + body


class Documents:
    """Framed documents in both directions, over something with send_bytes(bytes) and receive_bytes(seconds)."""

    def __init__(self):
        self.hello = None     # the other end's
        self.unread = b""
        self.waiting = []     # documents that came while another was waited for
        self.next_id = 1

    def send(self, document):
        """Sends one document, or one frame with these bytes."""
        self.send_bytes(frame(document))

    def receive(self, timeout=20):
        """The next document of the other end."""
        return self.waiting.pop(0) if self.waiting else self._read(time.monotonic() + timeout * PATIENCE)

    def wait_for(self, matches, timeout=20):
        """The next document for which matches(document); those before it stay for receive(). Pings are answered."""
        deadline = time.monotonic() + timeout * PATIENCE
        for index, document in enumerate(self.waiting):
            if matches(document):
                return self.waiting.pop(index)
        while True:
            document = self._read(deadline)
            if matches(document):
                return document
            if "ping" in document:
                self.send({"pong": document["ping"]})
            else:
                self.waiting.append(document)

    def request(self, method, params=None, timeout=60):
        """The result of a request; LinkError where it is refused."""
        number = self.number()
        self.send({"id": number, "method": method, "params": {} if params is None else params})
        answer = self.wait_for(lambda document: document.get("id") == number and "method" not in document, timeout)
        if "error" in answer:
            raise LinkError(method, answer["error"])
        return answer.get("result")

    def stream(self, method, params=None, timeout=60):
        """The pieces of a request that is answered in pieces."""
        number = self.number()
        self.send({"id": number, "method": method, "params": {} if params is None else params, "stream": True})
        while True:
            piece = self.wait_for(lambda document: document.get("id") == number and "method" not in document, timeout)
            if "error" in piece:
                raise LinkError(method, piece["error"])
            if "end" in piece:
                return
            self.send({"more": number})
            yield piece["chunk"]

    def number(self):
        """A number for a request that no request of this link has had."""
        self.next_id += 1
        return self.next_id

    def closed(self, timeout=20):
        """Whether the other end closes the connection in this time; what it says before is dropped."""
        deadline = time.monotonic() + timeout * PATIENCE
        try:
            while True:
                self._read(deadline)
        except LinkClosed:
            return True
        except LabError:
            return False

    def _read(self, deadline):
        while True:
            size = struct.unpack(">I", self.unread[:4])[0] if len(self.unread) >= 4 else None
            if size is not None and size > MAX_FRAME:
                raise LabError(f"a frame of {size} bytes")
            if size is not None and len(self.unread) >= 4 + size:
                body, self.unread = self.unread[4:4 + size], self.unread[4 + size:]
                return json.loads(body)
            self.unread += self.receive_bytes(deadline - time.monotonic())

    def _greet(self, hello):
        self.send({"hello": {"version": "lab", "features": [], **hello}})
        self.hello = self.wait_for(lambda document: "hello" in document)["hello"]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class ControlLink(Documents):
    """`with ControlLink(lab.home1) as link: link.request("process.spin", {...})`: the control link of that node, by its own key.

    It goes through the edge, from the machine's network. p2prcd of the machine may run: the root lets a second connection of a node take the place
    of the first, and p2prcd then dials again and takes it back, so a test that needs the link for longer stops p2prcd first. A node that
    sends nothing for 7.5 s is suspect, and is cut off after 30 s.

    `hello` are members to add to the hello, None to say none; `alpn`, `key` (PEM) and `port` are for tests of the handshake itself.
    """

    def __init__(self, machine, root="root", port=443, alpn="p2prc-control/1", key=None, hello=(), timeout=20):
        super().__init__()
        self.state = {}       # what the root has fed: documents by key
        self.synced = False   # the root has said that this is all
        self.resetting = False
        self.timeout = timeout
        if key is None:
            with open(f"{machine.root}/var/lib/p2prc/key.pem", encoding="ascii") as file:
                key = file.read()
        plain = connect(machine, machine.lab.network.address(root), port, timeout)
        try:
            self.tls = _context(key, alpn).wrap_socket(plain)
            if hello is not None:
                self._greet({"node": machine.name, "store_id": "", "revision": 0, **dict(hello)})
        except OSError as error:
            plain.close()
            raise LinkClosed(f"control link of {machine.name}: {error}") from None
        except LabError:
            self.close()
            raise

    def send_bytes(self, data):
        """Sends bytes inside TLS as they are."""
        try:
            self.tls.settimeout(self.timeout * PATIENCE)
            self.tls.sendall(data)
        except TimeoutError:
            raise LabError("the other end does not read") from None
        except OSError as error:
            raise LinkClosed(f"sending: {error}") from None

    def receive_bytes(self, seconds):
        """Some bytes from inside TLS."""
        try:
            self.tls.settimeout(max(seconds, 0.001))
            data = self.tls.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            raise LabError("the other end said nothing in time") from None
        except OSError as error:
            raise LinkClosed(f"receiving: {error}") from None
        if not data:
            raise LinkClosed("the other end closed the connection")
        return data

    def wait_synced(self, timeout=20):
        """Returns when the root has fed all it has; it is in `state` then."""
        while not self.synced:
            self.wait_for(lambda document: document.get("event") == "synced", timeout)
        return self

    def _read(self, deadline):
        document = super()._read(deadline)
        event = document.get("event") if isinstance(document, dict) else None
        if event == "synced":
            self.synced = True
        elif event in ("reset", "changes"):
            if event == "reset" and not self.resetting:
                self.state.clear()
            self.resetting = event == "reset" and "more" in document
            for item in document["items"]:
                if item["value"] is None:
                    self.state.pop(item["key"], None)
                else:
                    self.state[item["key"]] = item["value"]
        return document

    def close(self):
        """Closes the connection."""
        with contextlib.suppress(OSError):
            self.tls.close()


def _context(key, alpn):
    """TLS 1.3 with a self-signed certificate for a key, as p2prcd shows one. Who the root is, is not looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([alpn])
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/both.pem"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(key)
        made = subprocess.run(["openssl", "req", "-x509", "-new", "-key", path, "-subj", "/CN=p2prc", "-days", "30"], capture_output=True, text=True)
        if made.returncode != 0:
            raise LabError(f"no certificate for the key: {made.stderr}")
        with open(path, "a", encoding="ascii") as file:
            file.write(made.stdout)
        context.load_cert_chain(path)
    return context


def read_token(token):
    """The invitation in a join token: {"id", "secret"} and the rest of what it says."""
    text = token.strip().removeprefix("p2prc1_")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    at = 1
    addresses = []
    for _ in range(data[0]):
        size = data[at]
        family = socket.AF_INET if size == 4 else socket.AF_INET6
        addresses.append((socket.inet_ntop(family, data[at + 1:at + 1 + size]), int.from_bytes(data[at + 1 + size:at + 3 + size], "big")))
        at += size + 3
    zone = data[at + 1:at + 1 + data[at]].decode()
    at += 1 + data[at]
    root_key = data[at:at + 32].hex()
    at += 32
    identity = data[at + 1:at + 1 + data[at]].decode()
    at += 1 + data[at]
    return {"addresses": addresses, "zone": zone, "root_key": root_key, "id": identity, "secret": data[at:at + 32],
            "expires": int.from_bytes(data[at + 32:at + 40], "big")}


class JoinLink(Documents):
    """`with JoinLink(lab.home1, token) as link: link.join("home1")`: what a guest with an invitation can say to the root.

    Python's ssl has no external pre-shared keys, so `openssl s_client` is the TLS. `identity`, `secret` and `alpn` are for wrong ones.
    """

    def __init__(self, machine, token, identity=None, secret=None, alpn="p2prc-join/1", hello=(), key=None):
        super().__init__()
        self.key = key
        self.machine = machine
        known = read_token(token)
        address, port = known["addresses"][0]
        # With -quiet it would not print the exporter's value; -ign_eof takes no letter of the data for a command.
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", machine.lab.network.namespace(machine.name), "openssl", "s_client", "-connect", f"{address}:{port}", "-noservername",
             "-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256", "-alpn", alpn, "-psk_identity", identity or known["id"],
             "-psk", (secret or known["secret"]).hex(), "-keymatexport", JOIN_EXPORTER, "-keymatexportlen", "32", "-ign_eof"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self.exported = self._handshake(time.monotonic() + 20 * PATIENCE)
            if hello is not None:
                self._greet(dict(hello))
        except LabError:
            self.close()
            raise

    def join(self, name, **params):
        """Asks to be admitted under a name, with what comes along in `params`; `key_proof` among them takes the place of the right one."""
        return self.request("node.join", {"name": name, "key_proof": self.key_proof(), **params})

    def key_proof(self, context=None):
        """The proof that this end holds the machine's key (or the one given, PEM), bound to this connection or to other bytes."""
        key = self.key or self.machine.read("/var/lib/p2prc/key.pem")
        with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
            file.write(key)
            file.flush()
            public = subprocess.run(["openssl", "pkey", "-in", file.name, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
            signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", file.name], capture_output=True, check=True,
                                       input=b"p2prc key proof 1\0" + (self.exported if context is None else context)).stdout
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (public, signature))

    def send_bytes(self, data):
        """Sends bytes inside TLS as they are."""
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except OSError as error:
            raise LinkClosed(f"sending: {error}") from None

    def receive_bytes(self, seconds):
        """Some bytes from inside TLS."""
        ready, _, _ = select.select([self.process.stdout], [], [], max(seconds, 0))
        if not ready:
            raise LabError("the other end said nothing in time")
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            raise LinkClosed("the other end closed the connection: " + self.process.stderr.read().decode(errors="replace")[-500:])
        return data

    def _handshake(self, deadline):
        while True:
            self.unread += self.receive_bytes(deadline - time.monotonic())
            done = re.search(rb"Keying material: ([0-9A-F]+)\n---\n", self.unread)
            if done:
                self.unread = self.unread[done.end():]
                return bytes.fromhex(done[1].decode())

    def close(self):
        """Closes the connection."""
        self.process.kill()
        self.process.communicate()


def fingerprint(key):
    """The SHA-256 of a key's public half (PEM in, hexadecimal out): what a node is known by."""
    public = subprocess.run(["openssl", "pkey", "-pubout", "-outform", "DER"], input=key.encode(), capture_output=True, check=True).stdout
    return hashlib.sha256(public).hexdigest()

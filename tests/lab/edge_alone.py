#!/usr/bin/env python3
"""The edge alone, from outside: p2prc-edge with a file of routes on loopback, real TLS behind it, hostile bytes before it.

tests/lab/edge_alone.py [PROGRAM] [FILTER]; the exit status says whether all passed. Needs only Python and openssl.
"""

import atexit
import contextlib
import os
import random
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else f"{ROOT}/build/dev/edge/p2prc-edge"
FILTER = sys.argv[2] if len(sys.argv) > 2 else ""
NAME = "app.home.example"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def u16(value):
    return struct.pack("!H", value)


def vector(data, width):
    return len(data).to_bytes(width, "big") + data


def extension(kind, data):
    return u16(kind) + vector(data, 2)


def sni(name):
    return extension(0, vector(b"\0" + vector(name, 2), 2))


def message(extensions):
    body = b"\3\3" + b"r" * 32 + vector(b"s" * 32, 1) + vector(b"\x13\x01\x13\x02", 2) + vector(b"\0", 1) + vector(extensions, 2)
    return b"\1" + vector(body, 3)


def record(data, kind=22):
    return bytes([kind]) + b"\3\1" + vector(data, 2)


def records(data, size):
    return b"".join(record(data[at:at + size]) for at in range(0, len(data), size))


def real_hello(name):
    """What Python's OpenSSL says first, in one record."""
    context = insecure_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def insecure_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Backend:
    """A TCP server of a few lines: handler(connection) runs on a thread for each connection."""

    def __init__(self, handler):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.handler = handler
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(20)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError, ssl.SSLError):
            self.handler(connection)


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def upper_after_end(connection):
    """Answers only once the client has finished: its half-close must come through, and the way back stay open."""
    data = b""
    while more := connection.recv(65536):
        data += more
    connection.sendall(b"got " + str(len(data)).encode())


def tls_hello_back(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["http/1.1"])

    def handler(connection):
        with context.wrap_socket(connection, server_side=True) as stream:
            while data := stream.recv(65536):
                stream.sendall(b"tls:" + data)
    return handler


def eventually(condition, what, seconds=20):
    """Waits until condition() is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


class Edge:
    def __init__(self, directory, routes, extra=""):
        self.directory = directory
        self.routes_file = f"{directory}/routes.toml"
        self.config_file = f"{directory}/edge.toml"
        self.tls, self.http = free_port(), free_port()
        self.write(routes)
        with open(self.config_file, "w", encoding="utf-8") as file:
            file.write(extra)
        self.log = open(f"{directory}/log", "w+", encoding="utf-8")
        self.process = subprocess.Popen([PROGRAM, "--routes", self.routes_file, "--config", self.config_file,
                                         "--listen-tls", f"127.0.0.1:{self.tls}", "--listen-http", f"127.0.0.1:{self.http}"],
                                        stdout=self.log, stderr=self.log)
        self.wait_log("serving")

    def write(self, routes, tail=""):
        text = "".join(f'[[route]]\ndomain = "{name}"\nto = "127.0.0.1:{port}"\n' for name, port in routes.items())
        with open(self.routes_file, "w", encoding="utf-8") as file:
            file.write(text + tail)

    def text(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as file:
            return file.read()

    def wait_log(self, words, start=0):
        for _ in range(200):
            if words in self.text()[start:]:
                return
            assert self.process.poll() is None, self.text()
            time.sleep(0.05)
        raise AssertionError(f"no '{words}' in the log: {self.text()}")

    def reload(self, words):
        start = len(self.text())
        self.process.send_signal(signal.SIGHUP)
        self.wait_log(words, start)

    def status(self):
        start = len(self.text())
        self.process.send_signal(signal.SIGUSR1)
        self.wait_log("}", start)
        import json
        return json.loads(self.text()[start:].strip().splitlines()[-1])

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))

    def connect(self, port=None, timeout=20):
        connection = socket.create_connection(("127.0.0.1", port or self.tls), timeout=timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def close(self):
        self.process.terminate()
        assert self.process.wait(20) == 0, self.text()
        self.log.close()


def read_all(connection):
    data = b""
    while more := connection.recv(65536):
        data += more
    return data


def routed(edge, data, step=None, pause=0.0):
    """Sends a hello to the echo behind the edge and expects the very same bytes back."""
    with edge.connect() as client:
        if step is None:
            client.sendall(data)
        else:
            for at in range(0, len(data), step):
                client.sendall(data[at:at + step])
                if pause:
                    time.sleep(pause)
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)
        assert answer == data, f"sent {len(data)} bytes, {len(answer)} came back: {answer[:20]!r}"


def refused(edge, data, alert):
    """Expects a fatal alert (or none) and then a FIN, not a reset."""
    with edge.connect() as client:
        client.sendall(data)
        answer = read_all(client)
        expected = b"" if alert is None else bytes([21, 3, 3, 0, 2, 2, alert])
        assert answer == expected, answer


def request(edge, port, text):
    with edge.connect(port) as client:
        client.sendall(text)
        return read_all(client).decode()


def test_real_tls(lab):
    context = insecure_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.maximum_version = version
        with lab.edge.connect() as plain, context.wrap_socket(plain, server_hostname="Tls.Home.Example") as stream:
            assert stream.selected_alpn_protocol() == "http/1.1"
            stream.sendall(b"hello")
            assert stream.recv(100) == b"tls:hello"
    # openssl s_client too, with a trailing dot.
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{lab.edge.tls}", "-servername", "tls.home.example."],
                          input=b"", capture_output=True, timeout=20, check=False)
    assert b"CN = tls.home.example" in done.stdout, done


def test_segments(lab):
    hello = real_hello(NAME)
    routed(lab.edge, hello)
    routed(lab.edge, hello, step=1)
    post_quantum = record(message(extension(51, b"k" * 1800) + sni(NAME.encode())))
    routed(lab.edge, post_quantum, step=1000, pause=0.05)


def test_large_and_cut_hellos(lab):
    for size in (6_000, 15_000, 20_000):
        for extensions in (extension(21, b"\0" * size) + sni(NAME.encode()), sni(NAME.encode()) + extension(21, b"\0" * size)):
            for cut in (600, 4096, 16384):
                routed(lab.edge, records(message(extensions), cut), step=1448)
    whole = message(sni(NAME.encode()) + extension(0x0a0a, b""))
    for cut in range(1, len(whole), 7):
        routed(lab.edge, record(whole[:cut]) + record(whole[cut:]))


def test_names(lab):
    for name in (b"APP.Home.EXAMPLE", b"app.home.example.", b"any.wild.example", b"exact.wild.example"):
        routed(lab.edge, record(message(sni(name))))
    for name in (b"two.labels.wild.example", b"wild.example", b"other.example", b"example"):
        refused(lab.edge, record(message(sni(name))), 112)
    for name in (b"app.home.example\0.evil", b"192.0.2.1", b"::1", b"a" * 64 + b".example", b".".join([b"a" * 60] * 5), b"", b"a..example"):
        refused(lab.edge, record(message(sni(name))), 47)
    refused(lab.edge, record(message(extension(43, b"\2\3\4"))), 112)
    refused(lab.edge, record(message(sni(NAME.encode()) + sni(b"x.example"))), 47)


def test_malformed(lab):
    refused(lab.edge, record(b""), 50)
    refused(lab.edge, record(message(b"\0\0\0\x50short")), 50)
    refused(lab.edge, record(message(sni(NAME.encode()))[:30]) + record(b"\2\x32", 21), 50)
    refused(lab.edge, b"\x80\x2e\1\0\2\0\x15\0\0\0", None)
    refused(lab.edge, b"SSH-2.0-OpenSSH\r\n", None)
    refused(lab.edge, record(message(extension(16, vector(vector(b"p2prc-control/1", 1), 2)))), 112)


def test_http_on_the_tls_port(lab):
    answer = request(lab.edge, lab.edge.tls, f"GET /a?b HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    assert answer.startswith("HTTP/1.1 308 ") and f"Location: https://{NAME}/a?b\r\n" in answer, answer


def test_http(lab):
    for method in ("GET", "HEAD", "POST"):
        answer = request(lab.edge, lab.edge.http, f"{method} /p/a?x=1 HTTP/1.1\r\nHost: {NAME.upper()}:80\r\n\r\n".encode())
        assert answer.startswith("HTTP/1.1 308 ") and f"Location: https://{NAME}/p/a?x=1\r\n" in answer, answer

    def status(text):
        answer = request(lab.edge, lab.edge.http, text)
        return answer.split(" ")[1] if answer else ""
    assert status(b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n") == "421"
    assert status(f"GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()) == "404"
    for bad in (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a.b\r\nHost: c.d\r\n\r\n", b"GET / HTTP/1.1\r\nHost : a.b\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", b"\x16\x03\x01\0\5hello", b"GET  HTTP/1.1\r\nHost: a.b\r\n\r\n"):
        assert status(bad) == "400", bad
    assert status(b"GET / HTTP/1.1\r\nHost: " + NAME.encode() + b"\r\nX: " + b"y" * 17000 + b"\r\n\r\n") == "431"


def test_half_close(lab):
    with lab.edge.connect() as client:
        hello = record(message(sni(b"late.home.example")))
        client.sendall(hello + b"x" * 1000)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == f"got {len(hello) + 1000}".encode()


def test_reset_is_carried_through(lab):
    with lab.edge.connect() as client:
        client.sendall(record(message(sni(b"reset.home.example"))))
        try:
            assert client.recv(10) == b"", "neither data nor FIN was expected"
            raise AssertionError("a FIN came instead of a reset")
        except ConnectionResetError:
            pass


def test_dead_backend(lab):
    refused(lab.edge, record(message(sni(b"dead.home.example"))), 80)


def test_clients_that_leave_while_a_dial_hangs(lab):
    """A far end that does not answer, and clients that go on sending, finish or reset meanwhile."""
    hello = record(message(sni(b"hung.home.example")))
    for ending in ("close", "reset", "finish", "stay") * 10:
        client = lab.edge.connect()
        client.sendall(hello[:20])
        time.sleep(0.01)
        client.sendall(hello[20:])
        time.sleep(0.02)
        client.sendall(b"more")
        if ending == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if ending == "finish":
            client.shutdown(socket.SHUT_WR)
        if ending in ("close", "reset"):
            client.close()
        else:
            lab.kept.append(client)
    assert lab.edge.status()["dialling"] > 0, lab.edge.status()
    assert lab.kept[-1].recv(100) == bytes([21, 3, 3, 0, 2, 2, 80])
    for client in lab.kept:
        client.close()
    routed(lab.edge, real_hello(NAME))


def test_bulk(lab):
    block = random.Random(1).randbytes(1 << 20)
    hello = real_hello(NAME)
    with lab.edge.connect() as client:
        def send():
            client.sendall(hello)
            for _ in range(64):
                client.sendall(block)
            client.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        got = bytearray()
        while more := client.recv(1 << 20):
            got += more
        sender.join()
        assert bytes(got) == hello + block * 64


def test_reload(lab):
    edge, routes = lab.edge, lab.routes
    with edge.connect() as kept:
        hello = real_hello(NAME)
        kept.sendall(hello)
        assert kept.recv(len(hello), socket.MSG_WAITALL) == hello
        edge.write(routes | {"new.home.example": lab.echo.port})
        edge.reload("routes\n")
        routed(edge, record(message(sni(b"new.home.example"))))
        for tail, words in (("[[route]]\ndomain = \"x.example\"\nto = \"nowhere\"\n", "route[0].to"), ("[[rout]]\n", "rout"), ("= 1\n", "routes.toml:")):
            edge.write({}, tail)
            edge.reload(words)
            assert "routes.toml:" in edge.text().splitlines()[-1], edge.text()
            routed(edge, record(message(sni(b"new.home.example"))))
        edge.write(routes)
        edge.reload("routes\n")
        refused(edge, record(message(sni(b"new.home.example"))), 112)
        # A route that went away does not end what runs already.
        kept.sendall(b"still there")
        assert kept.recv(11, socket.MSG_WAITALL) == b"still there"


def test_slow_hello_is_closed(lab):
    with lab.edge.connect() as silent, lab.edge.connect() as slow, lab.edge.connect() as half:
        begin = time.monotonic()
        slow.sendall(real_hello(NAME)[:100])
        half.sendall(b"P2PF\1 half a preface")
        assert silent.recv(1) == b"" and slow.recv(1) == b"" and half.recv(1) == b""
        assert time.monotonic() - begin < 15


def test_limit_on_silent_connections(lab):
    silent = []
    try:
        for _ in range(200):
            silent.append(lab.edge.connect())
            silent[-1].setblocking(False)

        def closed(connection):
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                return connection.recv(1) == b""
            return False
        eventually(lambda: lab.edge.status()["over_limit"] >= 100, "connections over the limit")
        eventually(lambda: sum(map(closed, silent)) >= 100, "closed connections")
    finally:
        for connection in silent:
            connection.close()
    eventually(lambda: lab.edge.status()["waiting"] == 0, "no connection that says nothing")
    routed(lab.edge, real_hello(NAME))


def test_random_bytes(lab):
    source = random.Random(7)
    hello = real_hello(NAME)
    for _ in range(400):
        data = bytearray(hello) if source.random() < 0.7 else bytearray(source.randbytes(source.randrange(1, 400)))
        for _ in range(source.randrange(1, 6)):
            data[source.randrange(len(data))] = source.randrange(256)
        with lab.edge.connect(source.choice((lab.edge.tls, lab.edge.http))) as client, contextlib.suppress(OSError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            client.recv(1000)
    routed(lab.edge, hello)


def test_memory_stays_flat(lab):
    hello = real_hello(NAME)

    def rounds(count):
        for _ in range(count):
            routed(lab.edge, hello)
            refused(lab.edge, record(message(sni(b"nobody.example"))), 112)
    rounds(300)
    before = lab.edge.memory_kib()
    rounds(1500)
    after = lab.edge.memory_kib()
    assert after - before < 300, f"{before} KiB grew to {after} KiB"


def test_idle_connections_are_small(lab):
    count = 1000
    hello = real_hello(NAME)
    before = lab.edge.memory_kib()
    clients = []
    try:
        for _ in range(count):
            client = lab.edge.connect()
            client.sendall(hello)
            clients.append(client)
        for client in clients:
            assert client.recv(len(hello), socket.MSG_WAITALL) == hello
        each = (lab.edge.memory_kib() - before) / count
        print(f"     {each:.2f} KiB for each idle connection", flush=True)
        assert each <= 4
    finally:
        for client in clients:
            client.close()


def in_own_network(function):
    rights = "-n" if os.geteuid() == 0 else "-rn"
    done = subprocess.run(["unshare", rights, sys.executable, __file__, PROGRAM, f"--{function}"], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def started(*arguments):
    # Whatever daemon this machine runs is not the test's.
    environment = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
    edge = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    atexit.register(edge.kill)
    return edge


def dns_question():
    return u16(7) + bytes(2) + u16(1) + bytes(6) + b"".join(vector(label, 1) for label in (b"home", b"example", b"")) + u16(6) + u16(1)


def test_dns_rate(lab):
    """Loopback has no limit: in a network where addresses are others."""
    in_own_network("dns-rate")


def test_dns_port_that_is_taken(lab):
    """Port 53 of the machine's own address, held by another program when the edge starts, and free later."""
    in_own_network("dns-taken")


def dns_taken():
    question = dns_question()
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("192.0.2.1", 53))
        with open(f"{directory}/edge.toml", "w", encoding="utf-8") as file:
            file.write(f'[listen]\ntls = ["127.0.0.1:8443"]\n[state]\ndirectory = "{directory}"\n')
        edge = started("--config", f"{directory}/edge.toml")
        said = []
        while "DNS on UDP 192.0.2.1:53" not in "".join(said):
            said.append(edge.stderr.readline())
            assert said[-1], said
        def wait_answer(address, what):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(0.2)
                client.connect((address, 53))
                for _ in range(100):
                    with contextlib.suppress(socket.timeout, ConnectionRefusedError):
                        client.send(question)
                        assert client.recv(512)[3] & 15 == 5  # there are no zones
                        return
                    time.sleep(0.1)
                raise AssertionError(what)
        # Addresses that come have it try again, which shows in that it answers at them; the same words are not said again.
        for number in range(2, 5):
            subprocess.run(["ip", "address", "add", f"192.0.2.{number}/32", "dev", "lo"], check=True)
            wait_answer(f"192.0.2.{number}", "the new address is not answered at")
        other.close()
        wait_answer("192.0.2.1", "the port was free, and not taken")
        edge.terminate()
        said += edge.stderr.readlines()
        assert edge.wait(20) == 0
        assert "".join(said).count("DNS on UDP 192.0.2.1:53") == 1, said


def dns_rate():
    rate, sent, server = 10, 200, ("192.0.2.1", 5353)
    question = dns_question()
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for name, text in (("routes.toml", '[[zone]]\nname = "home.example"\naddresses = ["192.0.2.1"]\n'),
                           ("edge.toml", f"[limits]\ndns_answers_per_second = {rate}\n")):
            with open(f"{directory}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        edge = started("--routes", f"{directory}/routes.toml", "--config", f"{directory}/edge.toml", "--listen-dns", "%s:%d" % server)
        while "serving" not in edge.stderr.readline():
            assert edge.poll() is None
        client.settimeout(1)
        begin = time.monotonic()
        for _ in range(sent):
            client.sendto(question, server)
        answers = []
        with contextlib.suppress(socket.timeout):
            while True:
                answers.append(client.recv(4096))
        most = rate * (time.monotonic() - begin + 1) + 1
        slipped = [answer for answer in answers if answer[2] & 2]
        whole = len(answers) - len(slipped)
        assert rate <= whole <= most, (whole, most)
        assert abs(2 * len(slipped) - (sent - whole)) <= 1, (whole, len(slipped))
        assert all(len(answer) == len(question) and answer[12:] == question[12:] for answer in slipped)
        with socket.create_connection(server, timeout=10) as stream:
            stream.sendall(vector(question, 2))
            assert len(stream.recv(4096)) > len(question) + 20
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("198.51.100.1", 0))
            other.settimeout(10)
            other.sendto(question, server)
            assert not other.recv(4096)[2] & 2
        edge.terminate()
        assert edge.wait(20) == 0


def test_command_line(lab):
    def run(*arguments):
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert run("--help").returncode == 0 and "--listen-tls" in run("--help").stdout
    assert run("--version").stdout.startswith("p2prc-edge ")
    assert run("--rotes", "x").returncode == 2
    assert run("--listen-tls", "nonsense").returncode == 2
    missing = run("--routes", "/nonexistent/routes.toml", "--listen-tls", "127.0.0.1:1")
    assert missing.returncode != 0 and "/nonexistent/routes.toml" in missing.stderr, missing
    taken = run("--routes", lab.edge.routes_file, "--listen-tls", f"127.0.0.1:{lab.edge.tls}")
    assert taken.returncode != 0 and str(lab.edge.tls) in taken.stderr, taken


def test_drain(lab):
    """Last: a connection under way ends by itself while the edge stops, and new ones are not taken."""
    hello = real_hello(NAME)
    with lab.edge.connect() as client:
        client.sendall(hello)
        assert client.recv(len(hello), socket.MSG_WAITALL) == hello
        lab.edge.process.terminate()

        def refused():
            with contextlib.suppress(ConnectionResetError):
                try:
                    lab.edge.connect(timeout=1).close()
                except ConnectionRefusedError:
                    return True
            return False
        eventually(refused, "new connections to be refused")
        client.sendall(b"more")
        assert client.recv(4, socket.MSG_WAITALL) == b"more"
    assert lab.edge.process.wait(20) == 0, lab.edge.text()


class Lab:
    def __init__(self, directory):
        certificate = f"{directory}/certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=tls.home.example", "-keyout", certificate, "-out", f"{directory}/chain.pem"], check=True, capture_output=True)
        with open(certificate, "a", encoding="utf-8") as out, open(f"{directory}/chain.pem", encoding="utf-8") as chain:
            out.write(chain.read())
        self.echo = Backend(echo)

        def resetting(connection):
            connection.recv(65536)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Its queue is full: the kernel drops every further SYN.
        self.hung = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.kept = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(self.hung.getsockname())
            self.kept.append(filler)
        self.routes = {NAME: self.echo.port, "*.wild.example": self.echo.port, "exact.wild.example": self.echo.port,
                       "tls.home.example": Backend(tls_hello_back(certificate)).port, "late.home.example": Backend(upper_after_end).port,
                       "reset.home.example": Backend(resetting).port, "dead.home.example": free_port(), "hung.home.example": self.hung.getsockname()[1]}
        self.edge = Edge(directory, self.routes, "[timeouts]\nhello_seconds = 2\ndial_seconds = 3\n[limits]\nwaiting_per_address = 64\n")


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(directory)
        try:
            tests = [value for key, value in globals().items() if key.startswith("test_") and FILTER in key]
            for test in tests:
                begin = time.monotonic()
                try:
                    test(lab)
                    print(f"ok   {test.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
                except Exception as error:  # noqa: BLE001 - a test may fail in any way
                    failed += 1
                    print(f"FAIL {test.__name__}: {type(error).__name__}: {error}", flush=True)
            print(f"{len(tests) - failed} passed, {failed} failed")
        finally:
            if lab.edge.process.poll() is None:
                lab.edge.close()
    return 1 if failed else 0


if __name__ == "__main__":
    apart = {"--dns-rate": dns_rate, "--dns-taken": dns_taken}.get(FILTER)
    if apart:
        for words in ("link set lo up", "address add 192.0.2.1/32 dev lo", "address add 198.51.100.1/32 dev lo"):
            subprocess.run(["ip", *words.split()], check=True)
    sys.exit(apart() if apart else main())

"""Visitors of a process that is on its way wait for it, and those of one that is down see what is wrong, in words."""

import json
import os
import signal
import subprocess
import time

from lab import wait_until
from lab.household import make_fleet, process_file, served, spin, trust_fleet, visitors, wait_https, wait_state

MACHINES = ["root", "client", "acme", "home1"]

# Takes a while until it listens. When it is told to stop, it serves whoever has reached it, as a server should.
SLOW = """
import http.server, os, select, signal, sys, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"run {os.getpid()}".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128
time.sleep(float(sys.argv[1]))
server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.01)
while select.select([server.socket], [], [], 0)[0]:
    server.handle_request()
server.server_close()
"""

# Speaks TLS, and then no HTTP: it must see close_notify. Without it Python raises SSLEOFError here.
NO_HTTP = """
import socket, ssl, sys
context = ssl.create_default_context()
plain = socket.create_connection((sys.argv[1], 443), 20)
secured = context.wrap_socket(plain, server_hostname=sys.argv[1], suppress_ragged_eofs=False)
secured.sendall(b"EHLO client\\r\\n" + b"x" * 20000)
print(repr(secured.recv(100)))
"""


def setup(lab):
    make_fleet(lab, "home1")
    trust_fleet(lab, lab.client)


def slow(seconds):
    return ["/usr/bin/python3", "-c", SLOW, str(seconds)]


def all_served(lab, meanwhile):
    """Nobody fails while that is done, some wait, and both runs serve."""
    seen, _ = visitors(lab.client, "slow.home.example", meanwhile, least=10)
    bodies = served(seen)
    assert len(bodies) == 2, bodies
    assert max(waited for _, _, waited in seen) > 1, "nobody waited"


def asked(lab, name, *options):
    """The answer with its head. What comes within this time was not held: the files say 60 s."""
    return lab.client.run(["curl", "-sS", "--max-time", "20", "-i", *options, f"https://{name}/"], timeout=40, check=False)


def test_nobody_fails_while_it_is_restarted(lab):
    lab.home1.write("/root/slow.toml", process_file("slow", slow(2.5), port=0, domain="slow.home.example", restart="always"))
    lab.home1.p2prc("spin", "/root/slow.toml", timeout=120)
    wait_https(lab.client, "slow.home.example", "run ", timeout=60)
    all_served(lab, lambda: lab.home1.p2prc("restart", "slow", timeout=60))


def test_nobody_fails_while_it_restarts_by_itself(lab):
    all_served(lab, lambda: lab.home1.run("systemctl kill --signal=TERM p2prc-slow.service"))
    wait_state(lab.home1, "slow", "running")


def test_a_home_that_boots_has_its_visitors_wait(lab):
    """Until the home is there they are refused, as fast as ever; the first who reaches it is served."""
    lab.home1.power_cut()
    lab.home1.boot()

    def reached():
        page = asked(lab, "slow.home.example")
        return page if page.code == 0 else None
    page = wait_until(reached, 120, "the home to be reached")
    assert " 200 " in page.out.splitlines()[0], page


def test_what_is_stopped_says_so_at_once(lab):
    spin(lab.home1, "calm", slow(0), port=0, domain="calm.home.example", update={"hold": "60s"})
    wait_https(lab.client, "calm.home.example", "run ", timeout=60)
    lab.home1.p2prc("stop", "calm")
    browser = asked(lab, "calm.home.example", "-H", "Accept: text/html,application/xhtml+xml,*/*;q=0.8").out
    assert browser.startswith("HTTP/1.1 503 ") and "calm.home.example is switched off</h1>" in browser, browser
    assert "no-store" in browser and "home1" not in browser, browser
    plain = asked(lab, "calm.home.example").out
    assert plain.startswith("HTTP/1.1 503 ") and "text/plain" in plain and "<" not in plain.split("\n\n", 1)[1], plain
    program = asked(lab, "calm.home.example", "-H", "Accept: application/json").out
    assert json.loads(program.split("\n\n", 1)[1])["error"] == "stopped", program
    assert lab.client.run(["python3", "-c", NO_HTTP, "calm.home.example"], timeout=40).out == "b''\n"


def test_whoever_waits_when_it_is_stopped_is_told(lab):
    lab.home1.write("/root/calm.toml", process_file("calm", slow(600), port=0, domain="calm.home.example", update={"hold": "60s"}))
    lab.home1.p2prc("kill", "calm")
    lab.home1.p2prc("spin", "--no-wait", "/root/calm.toml")
    waits = lab.client.popen(["curl", "-sS", "--max-time", "50", "-i", "https://calm.home.example/"], stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(3)  # more than the edge gives a connector for an answer without a word
        assert waits.poll() is None, waits.stdout.read()
        lab.home1.p2prc("stop", "calm")
        page = waits.stdout.read()
    finally:
        if waits.poll() is None:
            os.killpg(waits.pid, signal.SIGKILL)
        waits.wait()
    assert page.startswith("HTTP/1.1 503 ") and "switched off" in page, page


def test_what_has_failed_says_so_at_once(lab):
    spin(lab.home1, "broken", "exit 3", port=0, domain="broken.home.example", restart="no", update={"hold": "60s"}, check=False)
    wait_state(lab.home1, "broken", "failed")
    wait_until(lambda: "is out of order" in asked(lab, "broken.home.example").out, 60, "visitors to be told")
    page = asked(lab, "broken.home.example", "-H", "Accept: text/html").out
    assert page.startswith("HTTP/1.1 503 ") and "home1" not in page and "exit" not in page, page


def test_a_wait_ends(lab):
    spin(lab.home1, "late", slow(600), port=0, domain="late.home.example", update={"hold": "1s"}, wait=False)
    wait_until(lambda: "is starting" in asked(lab, "late.home.example").out, 60, "visitors to be told")
    page = asked(lab, "late.home.example").out
    assert page.startswith("HTTP/1.1 503 ") and "Retry-After: 5\n" in page, page

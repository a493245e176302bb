"""A connector that is told to end while visitors are connected: by hand, and by a machine that goes down."""

import time

from lab import wait_until
from lab.household import ZONE, make_fleet, spin, trust_fleet, wait_https, web
from lab.wait import PATIENCE

MACHINES = ["root", "client", "acme", "home1"]

# Sends a little every second, for as long as somebody listens.
DRIP = """
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        while True:
            self.wfile.write(b"drip\\n"); self.wfile.flush(); time.sleep(0.2)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def setup(lab):
    make_fleet(lab, "home1")
    trust_fleet(lab, lab.client)
    spin(lab.home1, "web", web("here"), port=8080, domain=f"web.{ZONE}")
    spin(lab.home1, "drip", ["/usr/bin/python3", "-c", DRIP], port=8081, domain=f"drip.{ZONE}")
    wait_https(lab.client, f"web.{ZONE}", "here", timeout=60)


def dripping(lab):
    """A visitor who is being served; its end."""
    lab.client.run("rm -f /root/drops")
    visitor = lab.client.popen(f"exec curl -sSN https://drip.{ZONE}/ >/root/drops")
    wait_until(lambda: lab.client.ok("test $(wc -l </root/drops) -gt 2"), 30, "the visitor to be served")
    return visitor


def connectors(lab):
    return lab.home1.run("pgrep -u p2prc-connector -f p2prc-connector", check=False).out.split()


def test_a_stop_does_not_wait_for_visitors(lab):
    visitor = dripping(lab)
    lab.home1.run("systemctl stop p2prc-connector.service", timeout=30)
    assert lab.home1.unit("p2prc-connector.service")["ActiveState"] == "inactive"
    # Who is served has a minute, with the copy that stays; it ends at once when it is told to.
    left = connectors(lab)
    assert visitor.poll() is None and len(left) == 1, left
    lab.home1.run(["kill", *left])
    wait_until(lambda: visitor.poll() is not None and not connectors(lab), 30, "the copy to have ended")
    lab.home1.run("systemctl start p2prc-connector.service")
    wait_https(lab.client, f"web.{ZONE}", "here", timeout=60)


def test_a_reboot_does_not_wait_for_visitors(lab):
    visitor = dripping(lab)
    begin = time.monotonic()
    lab.home1.power_off()
    # Not a measurement: the copy would carry the visitor for a minute.
    assert time.monotonic() - begin < 50 * PATIENCE, "the machine waited for the visitor"
    lab.home1.boot()
    wait_until(lambda: visitor.poll() is not None, 60, "the visitor to be cut off")
    wait_https(lab.client, f"web.{ZONE}", "here", timeout=60)

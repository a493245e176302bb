"""Name servers on loopback ports: ours and others', each started with one zone and ended by its own process id."""

import os
import shutil
import socket
import subprocess
import time

import dns.message
import dns.query


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", tcp.getsockname()[1]))
        return tcp.getsockname()[1]


class Peer:
    def __init__(self, name, command, port, directory, probe="."):
        self.name, self.port = name, port
        self.log = open(os.path.join(directory, name + ".log"), "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=directory)
        deadline = time.monotonic() + 20
        while True:
            try:
                dns.query.udp(dns.message.make_query(probe, "SOA"), "127.0.0.1", timeout=0.3, port=port)
                return
            except (OSError, dns.exception.Timeout):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    with open(self.log.name, encoding="utf-8", errors="replace") as log:
                        raise RuntimeError(f"{name} does not answer: {log.read()[-2000:]}") from None
                time.sleep(0.05)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def write(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def ours(server, directory, zone, zone_file, port=None, extra=()):
    port = port or free_port()
    routes = write(directory, "routes.toml", f'[[zone]]\nname = "{zone}"\nfile = "{os.path.basename(zone_file)}"\n')
    return Peer("p2prc", [os.path.abspath(server), "--routes", routes, "--listen-dns", f"127.0.0.1:{port}", *extra], port, directory)


def nsd(directory, zone, zone_file, port=None):
    """One server process, and no rate limit: Debian's default of 200 answers a second would make any comparison void."""
    port = port or free_port()
    config = write(directory, "nsd.conf", f"""
server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{directory}"
  pidfile: ""
  database: ""
  zonelistfile: "{directory}/nsd.list"
  xfrdfile: "{directory}/nsd.xfrd"
  xfrdir: "{directory}"
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
  minimal-responses: yes
  hide-version: yes
remote-control:
  control-enable: no
zone:
  name: "{zone}"
  zonefile: "{zone_file}"
""")
    return Peer("nsd", ["/usr/sbin/nsd", "-d", "-c", config], port, directory)


def knot(directory, zone, zone_file, port=None):
    port = port or free_port()
    config = write(directory, "knot.conf", f"""
server:
  listen: 127.0.0.1@{port}
  rundir: {directory}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: {directory}/knot
zone:
  - domain: {zone}
    file: {zone_file}
    semantic-checks: off
    zonefile-sync: -1
    journal-content: none
""")
    os.makedirs(os.path.join(directory, "knot"), exist_ok=True)
    return Peer("knot", ["/usr/sbin/knotd", "-c", config], port, directory)


def unbound(directory, zone, to_port, port=None):
    """A resolver whose stub is the server on `to_port`; it writes names in random case and insists on getting them back."""
    port = port or free_port()
    config = write(directory, "unbound.conf", f"""
server:
  interface: 127.0.0.1@{port}
  access-control: 127.0.0.0/8 allow
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: "{directory}/unbound.pid"
  use-syslog: no
  logfile: ""
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
  use-caps-for-id: yes
  qname-minimisation: yes
  local-zone: "{zone}." transparent
stub-zone:
  name: "{zone}"
  stub-addr: 127.0.0.1@{to_port}
remote-control:
  control-enable: no
""")
    return Peer("unbound", ["/usr/sbin/unbound", "-d", "-p", "-c", config], port, directory, zone)


def available(name):
    return shutil.which(name) is not None or os.access(f"/usr/sbin/{name}", os.X_OK)

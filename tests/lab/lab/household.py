"""What a household does with p2prc, in the words of the tests."""

import json
import os
import signal
import subprocess

from .errors import LabError
from .wait import wait_until

ZONE = "home.example"


def process_file(name, command, port=None, domain=None, data=False, restart=None, **tables):
    """The text of a process file. `tables` are further tables, e.g. limits={"memory": "64M"}."""
    def value(thing):
        return json.dumps(thing)
    lines = [f"name = {value(name)}"]
    if port is not None:
        lines.append(f"port = {port}")
    if domain is not None:
        lines.append(f"domain = {value(domain)}")
    lines += ["[run]", f"command = {value(command)}"]
    if data:
        lines.append("data = true")
    if restart:
        lines.append(f"restart = {value(restart)}")
    for table, keys in tables.items():
        lines += [f"[{table}]"] + [f"{key} = {value(entry)}" for key, entry in keys.items()]
    return "\n".join(lines) + "\n"


def spin(machine, name, command, node=None, check=True, wait=True, **options):
    """Spins a process from a file on `machine`; returns the result of the command. Without `wait` it returns when the process is
    started, which one that does not listen at its port takes for enough."""
    path = f"/root/{name}.toml"
    machine.write(path, process_file(name, command, **options))
    return machine.p2prc("spin", path, *(["--node", node] if node else []), *([] if wait else ["--no-wait"]), check=check, timeout=120)


def info(machine, name):
    return machine.json("info", name)


def state(machine, name):
    return info(machine, name)["state"]


def wait_state(machine, name, wanted, timeout=20):
    """Waits until the process has that state, seen from `machine`; returns its information."""
    def seen():
        known = info(machine, name)
        if known["state"] != wanted:
            raise LabError(f"{name} is {known['state']}, reason {known.get('reason')}")
        return known
    return wait_until(seen, timeout, f"{name} to be {wanted} on {machine.name}")


def wait_executed(machine, name, timeout=20):
    """Waits until the command of the process is executed, ready or not: most that have a port here never listen at it."""
    def seen():
        known = info(machine, name)
        if not known["status"]:
            raise LabError(f"{name} is {known['state']}, reason {known.get('reason')}")
        return known
    return wait_until(seen, timeout, f"{name} to be executed on {machine.name}")


def wait_reason(machine, name, kind, timeout=20):
    """Waits until the last stop of the process has that kind; returns the reason."""
    def seen():
        reason = info(machine, name).get("reason")
        if not reason or reason["kind"] != kind:
            raise LabError(f"the reason is {reason}")
        return reason
    return wait_until(seen, timeout, f"the reason of {name} to be {kind}")


def main_pid(machine, name):
    """The main process of the process's unit, as the machine sees it."""
    return int(machine.unit(f"p2prc-{name}.service")["MainPID"])


def make_root(lab, acme="none"):
    """root becomes the root of a fleet."""
    return lab.root.p2prc("init", "--name", "root", "--domain", ZONE, "--public-ip", lab.root.address, "--acme", acme, timeout=120)


def invite(lab, *options):
    """A join token."""
    return lab.root.p2prc("invite", *options).out.strip()


def join(lab, machine, token=None, name=None, check=True):
    return machine.p2prc("join", "-", "--name", name or machine.name, input=(token or invite(lab)) + "\n", check=check, timeout=60)


def make_fleet(lab, *homes, acme="none"):
    """A fleet of root and the named homes."""
    make_root(lab, acme)
    for home in homes:
        join(lab, lab.machines[home])


def trust_fleet(lab, machine):
    """Puts the fleet's web CA into a machine's store of certificates."""
    machine.trust(lab.root.p2prc("fleet", "ca").out)


def node_state(machine, name):
    """The state of a node as `machine` sees it, or None."""
    return next((node["state"] for node in machine.json("nodes") if node["name"] == name), None)


def deployers(machine, node):
    """The deployers of a node as `machine` knows them, by name."""
    return {entry["name"]: entry for entry in machine.json("nodes", "show", node)["deployers"] or []}


def domain(machine, name):
    """What `machine` knows of a domain, or None."""
    return next((entry for entry in machine.json("domains") if entry["domain"] == name), None)


def https(machine, name, path="/", *options, check=True):
    """The body of https://name/path with a verified certificate; LabError where it does not come."""
    return machine.run(["curl", "--silent", "--show-error", "--fail", "--max-time", "5", *options, f"https://{name}{path}"], check=check, timeout=20).out


def wait_https(machine, name, body, path="/", timeout=30):
    """Waits until https://name/path carries `body`."""
    return wait_until(lambda: body in https(machine, name, path), timeout, f"https://{name}{path} to say {body!r} to {machine.name}", interval=0.1)


WEB = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = sys.argv[1].encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def web(body):
    """The command of a web server on $PORT that answers everything with `body`."""
    return ["/usr/bin/python3", "-c", WEB, body]


# Twenty visitors a second, each with a connection of its own, for so many seconds at least and until it is told that it is enough.
VISITORS = """
import http.client, json, ssl, sys, threading, time
name, least = sys.argv[1], 20 * int(sys.argv[2])
context = ssl.create_default_context()
seen, threads = [], []
def visit():
    began = time.monotonic()
    try:
        connection = http.client.HTTPSConnection(name, timeout=40, context=context)
        connection.request("GET", "/")
        answer = connection.getresponse()
        seen.append((answer.status, answer.read().decode()[:80], time.monotonic() - began))
    except Exception as error:
        seen.append((0, repr(error), time.monotonic() - began))
begin, number, done = time.monotonic(), 0, threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), done.set()), daemon=True).start()
while number < least or not done.is_set() and number < 2400:
    time.sleep(max(0, begin + number / 20 - time.monotonic()))
    threads.append(threading.Thread(target=visit))
    threads[-1].start()
    number += 1
    if number == 20:
        print("begun", flush=True)
for thread in threads:
    thread.join()
print(json.dumps(seen))
"""


def visitors(machine, name, meanwhile, least=1):
    """What twenty visitors a second from `machine` saw while `meanwhile` was done, and for `least` seconds at least: status, body and
    seconds of each. And what `meanwhile` gave."""
    crowd = machine.popen(["python3", "-c", VISITORS, name, str(least)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert crowd.stdout.readline() == "begun\n"
        result = meanwhile()
        crowd.stdin.write("\n")
        crowd.stdin.flush()
        return json.loads(crowd.stdout.readline()), result
    finally:
        if crowd.poll() is None:
            os.killpg(crowd.pid, signal.SIGKILL)
        crowd.wait()


def served(seen):
    """The bodies that `visitors` have seen, of whom none has failed."""
    failed = [visit for visit in seen if visit[0] != 200]
    assert not failed, (len(failed), failed[:5])
    return {body for _, body, _ in seen}

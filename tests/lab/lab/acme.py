"""What the rest of the Internet is to the house: a resolver that finds the house's zone, and an ACME server.

Both live on the machine `acme` (203.0.113.30): unbound on 53, pebble on 14000 with a certificate of a CA made for the run.
"""

import json
import os

from .errors import LabError
from .wait import wait_until

UNBOUND = """server:
    interface: 203.0.113.30
    access-control: 0.0.0.0/0 allow
    # No root servers here, hence no chain of trust.
    module-config: "iterator"
    # A test changes a name and asks again at once; homes behind it still have their own caches.
    cache-max-ttl: 1
    cache-max-negative-ttl: 1
    infra-host-ttl: 1
    local-zone: "lab.example." static
    local-data: "acme.lab.example. 60 IN A 203.0.113.30"
include: "/etc/unbound/zones/*.conf"
"""
NAME = "acme.lab.example"


def prepare(machine):
    """Before its first boot: unbound is on."""
    machine.write("/etc/unbound/unbound.conf", UNBOUND)
    machine.write("/etc/unbound/zones/home.example.conf", _stub("home.example", "203.0.113.10"))
    wants = f"{machine.root}/etc/systemd/system/multi-user.target.wants"
    os.makedirs(wants, exist_ok=True)
    os.symlink("/lib/systemd/system/unbound.service", f"{wants}/unbound.service")


def _stub(zone, address):
    return f'stub-zone:\n    name: "{zone}"\n    stub-addr: {address}\n'


def delegate(machine, zone, address):
    machine.write(f"/etc/unbound/zones/{zone}.conf", _stub(zone, address))
    machine.run("systemctl restart unbound")


def start_pebble(lab, port=14000):
    machine = lab.machines.get("acme")
    if machine is None:
        raise LabError("pebble runs on the machine 'acme': name it among the machines of this lab")
    certificate = _certificate(machine)
    machine.write("/etc/pebble/config.json", json.dumps({"pebble": {
        "listenAddress": f"0.0.0.0:{port}", "managementListenAddress": "0.0.0.0:15000",
        "certificate": "/etc/pebble/server.pem", "privateKey": "/etc/pebble/server.key",
        "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": False}}))
    # The validation asks the house's own DNS server, as a CA's resolver comes to it in the end.
    machine.run(["systemd-run", "--unit=pebble", "-E", "PEBBLE_VA_NOSLEEP=1", "-E", "PEBBLE_WFE_NONCEREJECT=0",
                 "pebble", "-config", "/etc/pebble/config.json", "-dnsserver", f"{lab.network.address('root')}:53"])
    for other in lab.machines.values():
        if other.running():
            other.trust(certificate)
    wait_until(lambda: machine.ok(["curl", "-sf", f"https://{NAME}:{port}/dir"]), 15, "pebble to answer")
    return f"https://{NAME}:{port}/dir"


def issuing_root(lab):
    """The root certificate of the running pebble, PEM: what clients must trust to accept what it issued."""
    return lab.machines["acme"].run(["curl", "-sf", f"https://{NAME}:15000/roots/0"]).out


def _certificate(machine):
    """A CA of this run and a server certificate by it; returns the CA, PEM."""
    machine.run(["sh", "-ec", f"""
        mkdir -p /etc/pebble && cd /etc/pebble
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=lab ACME CA' 2>&1
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj '/CN={NAME}' 2>&1
        printf 'subjectAltName=DNS:{NAME},IP:203.0.113.30\n' >ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out server.pem 2>&1
        chmod 644 server.key"""])
    return machine.read("/etc/pebble/ca.pem")


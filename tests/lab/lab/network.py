"""The cables: a public network, homes behind NAT, one of them behind a second NAT, all in network namespaces of their own.

public 203.0.113.0/24, 2001:db8:113::/64
  |- root .10   client .20   acme .30
  |- router1 .101 = 192.168.1.0/24: home1
  |- router2 .102 = 192.168.2.0/24: home2
  `- carrier .103 = 100.64.0.0/24 = router3 = 192.168.3.0/24: home3

Nothing of it exists in the box's own namespace, so nothing leaves the box and two runs share no name but those of their namespaces.
"""

from . import host

# machine: (network, last octet)
MACHINES = {
    "root": ("public", 10), "client": ("public", 20), "acme": ("public", 30),
    "home1": ("router1", 10), "home2": ("router2", 10), "home3": ("router3", 10),
}
# router: (network it is connected to, last octet there, its own network)
ROUTERS = {
    "router1": ("public", 101, "192.168.1"), "router2": ("public", 102, "192.168.2"),
    "carrier": ("public", 103, "100.64.0"), "router3": ("carrier", 2, "192.168.3"),
}
PREFIXES = {"public": "203.0.113", **{name: prefix for name, (_, _, prefix) in ROUTERS.items()}}
PUBLIC_IPV6 = "2001:db8:113::"

# What home routers do: everything out, nothing in that was not asked for.
NAT = """
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "wan" masquerade
    }
}
table ip filter {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "lan" oifname "wan" accept
    }
}
"""


class Network:
    """The namespaces of one run. Names of networks are those of the routers that own them, and `public`."""

    def __init__(self, record):
        self.record = record

    def namespace(self, name):
        return f"p2prc-{self.record.run}-{name}"

    def ip(self, name, *arguments):
        """Runs ip(8) inside the namespace of a machine or router."""
        return host.call("ip", "-n", self.namespace(name), *arguments)

    def build(self, machines):
        self._add("public")
        self._bridge("public", "public")
        for router, (uplink, octet, prefix) in ROUTERS.items():
            self._add(router)
            self._plug(router, "wan", uplink, octet)
            self._bridge(router, "lan")
            self.ip(router, "address", "add", f"{prefix}.1/24", "dev", "lan")
            namespace = self.namespace(router)
            host.call("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1")
            host.call("ip", "netns", "exec", namespace, "nft", "-f", "-", input=NAT)
        for machine in machines:
            network, octet = MACHINES[machine]
            self._add(machine)
            self._plug(machine, "eth0", network, octet)

    def address(self, machine):
        """The IPv4 address a machine starts with."""
        network, octet = MACHINES[machine]
        return f"{PREFIXES[network]}.{octet}"

    def cable(self, name, up):
        """Plugs or pulls the cable of a machine or router at the far end: the machine loses its carrier and keeps its routes."""
        uplink = MACHINES[name][0] if name in MACHINES else ROUTERS[name][0]
        self.ip(uplink, "link", "set", f"to-{name}", "up" if up else "down")

    def readdress(self, name, octet):
        """Gives a machine or router another address in the network it is connected to, as DHCP would."""
        interface, network = ("eth0", MACHINES[name][0]) if name in MACHINES else ("wan", ROUTERS[name][0])
        self.ip(name, "-4", "address", "flush", "dev", interface)
        self._address(name, interface, network, octet)

    def limit(self, name, rate):
        """Limits what a machine or router may send, e.g. "10mbit"; None lifts it."""
        interface = "eth0" if name in MACHINES else "wan"
        tc = ("tc", "-n", self.namespace(name), "qdisc")
        host.call(*tc, "delete", "dev", interface, "root", check=False)
        if rate:
            host.call(*tc, "add", "dev", interface, "root", "tbf", "rate", rate, "burst", "64kb", "latency", "50ms")

    def _add(self, name):
        namespace = self.namespace(name)
        self.record.add("namespaces", namespace)
        host.call("ip", "netns", "add", namespace)
        self.ip(name, "link", "set", "lo", "up")

    def _bridge(self, name, interface):
        self.ip(name, "link", "add", interface, "type", "bridge", "forward_delay", "0")
        self.ip(name, "link", "set", interface, "up")

    def _plug(self, name, interface, network, octet):
        port = f"to-{name}"
        self.ip(network, "link", "add", port, "type", "veth", "peer", "name", interface, "netns", self.namespace(name))
        self.ip(network, "link", "set", port, "master", "public" if network == "public" else "lan", "up")
        self.ip(name, "link", "set", interface, "up")
        self._address(name, interface, network, octet)
        if network == "public":
            self.ip(name, "address", "add", f"{PUBLIC_IPV6}{octet}/64", "dev", interface, "nodad")

    def _address(self, name, interface, network, octet):
        prefix = PREFIXES[network]
        self.ip(name, "address", "add", f"{prefix}.{octet}/24", "dev", interface)
        # The public network is the whole Internet: its own hosts need no gateway.
        gateway = () if network == "public" else ("via", f"{prefix}.1")
        self.ip(name, "route", "replace", "default", *gateway, "dev", interface)

"""The whole lab: a network, the machines in it, the services that the rest of the Internet would give."""

import glob
import os
import sys
import time

from . import acme, host, image, record
from .errors import LabError
from .machine import Machine, together
from .network import MACHINES, Network
from .record import CACHE, Record

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
ZONE = "home.example"


class Lab:
    """`with Lab(["root", "home1"]) as lab: lab.root.run(...)`. Everything is gone when it ends, also when the process is killed."""

    def __init__(self, machines, name=None, keep=False, say=None):
        unknown = set(machines) - set(MACHINES)
        if unknown:
            raise LabError(f"no machine named {', '.join(sorted(unknown))}; there are {', '.join(MACHINES)}")
        if os.geteuid() != 0:
            raise LabError("the lab makes namespaces and containers: run it as root")
        self.say = say or (lambda text: print(text, file=sys.stderr, flush=True))
        self.resolver = "203.0.113.30"
        record.reap()
        self.image = image.ensure(self.say)
        self.record = Record.create(name)
        self.keep = keep
        if keep:
            self.record.keep()
        else:
            self.guard = self.record.guard()
        self.network = Network(self.record)
        self.machines = {machine: Machine(self, machine) for machine in machines}

    @classmethod
    def attach(cls, name):
        """A lab that `script/lab up` left running."""
        lab = cls.__new__(cls)
        lab.record = Record.load(name)
        if not lab.record:
            raise LabError(f"no lab named '{name}' is up; script/lab up starts one")
        lab.say = lambda text: print(text, file=sys.stderr, flush=True)
        lab.resolver = "203.0.113.30"
        lab.image = image.path()
        lab.keep = True
        lab.network = Network(lab.record)
        lab.machines = {machine: Machine(lab, machine).attach(lab.record.state["running"].get(machine)) for machine in lab.record.state["machines"]}
        return lab

    def __getattr__(self, name):
        machines = self.__dict__.get("machines", {})
        if name in machines:
            return machines[name]
        raise AttributeError(f"the lab has no machine or attribute '{name}'")

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()

    def start(self):
        """Lays the cables and boots every machine."""
        try:
            directory = f"{CACHE}/runs/{self.record.run}"
            self.record.add("directories", directory)
            self.record.state["machines"] = list(self.machines)
            host.allow_inotify()
            self.network.build(self.machines)
            for machine in self.machines.values():
                machine.create()
            if "acme" in self.machines:
                acme.prepare(self.machines["acme"])
            together(self.machines.values(), lambda machine: machine.boot())
            self.ready = time.time()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        """Undoes everything."""
        self.record.undo()
        if not self.keep and getattr(self, "guard", None) is not None:
            os.close(self.guard)
            self.guard = None
            self.record.keeper.wait()

    # --- the Internet

    def delegate(self, zone, machine="root"):
        """Makes the public resolver ask `machine` about `zone`, as a registrar's NS records and glue would."""
        acme.delegate(self.machines["acme"], zone, self.network.address(machine))

    def pebble(self, **options):
        """Starts an ACME server on `acme` that every machine trusts; returns its directory URL."""
        return acme.start_pebble(self, **options)

    def acme_root(self):
        """The root certificate of that ACME server's issuance, PEM; nobody trusts it until told (Machine.trust)."""
        return acme.issuing_root(self)

    # --- p2prc

    def archive(self, *names):
        """The .deb files of Debian packages that the image lacks, for Machine.install."""
        return image.archive(names)

    def packages(self):
        """The .deb files under test: those in $P2PRC_PACKAGES, or dist/ of the source."""
        directory = os.environ.get("P2PRC_PACKAGES", f"{SOURCE}/dist")
        found = {}
        for path in sorted(glob.glob(f"{directory}/*.deb")):
            name = os.path.basename(path).split("_")[0]
            if not name.endswith("-dbgsym"):
                found[name] = path
        if "p2prc" not in found:
            raise LabError(f"no p2prc package in {directory}; script/package builds it")
        return found

    def made(self, pattern, option):
        """Files that script/package OPTION makes beside the Debian packages."""
        directory = os.path.dirname(self.packages()["p2prc"])
        found = sorted(glob.glob(f"{directory}/{pattern}"))
        if not found:
            raise LabError(f"no {pattern} in {directory}; script/package {option} builds it")
        return found

    def install(self, *machines, edge=("root",)):
        """Installs p2prc on the named machines (all but acme and client when none is named), and p2prc-edge on those of `edge`."""
        packages = self.packages()
        names = machines or [name for name in self.machines if name not in ("acme", "client")]
        together([self.machines[name] for name in names], lambda machine: machine.install(
            [packages["p2prc"]] + ([packages["p2prc-edge"]] if machine.name in edge else [])))

    # --- when a test fails

    def report(self, since=None, lines=80):
        """The last of the journals of all machines since a time (seconds; the first boot), for whoever has to find out why."""
        since = since or getattr(self, "ready", None)
        parts = []
        for machine in self.machines.values():
            state = "on" if machine.running() else "off"
            arguments = ["--since", f"@{int(since)}"] if since else []
            parts.append(f"----- journal of {machine.name} ({state})\n{machine.journal(*arguments, lines=lines)}")
        return "\n".join(parts)

    def save_journals(self, directory):
        """Writes the whole journal and console of every machine into a directory of the box."""
        os.makedirs(directory, exist_ok=True)
        for machine in self.machines.values():
            with open(f"{directory}/{machine.name}.log", "w", encoding="utf-8") as file:
                file.write(machine.journal(lines=100000))
                file.write("----- console\n" + machine.console())

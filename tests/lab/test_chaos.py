"""Falls at random instants: what was acknowledged is there afterwards, and records, units and routes agree.

The instants are drawn from a seed that is printed; P2PRC_CHAOS_SEED brings a run back.
"""

import json
import os
import random
import threading
import time

from lab import wait_until

MACHINES = ["root", "acme", "client", "home1"]
SEED = int(os.environ.get("P2PRC_CHAOS_SEED", random.randrange(1 << 30)))
FALLS = 8


class Worker(threading.Thread):
    """Spins, maps and kills on one machine, one thing after the other, and remembers what was acknowledged."""

    def __init__(self, lab, chance):
        super().__init__(daemon=True)
        self.lab, self.chance = lab, chance
        self.stopping = threading.Event()
        self.present, self.gone, self.unsure = set(), set(), set()
        self.domains = set()
        self.count = 0

    def p2prc(self, *words):
        result = self.lab.home1.run(["p2prc", *words], check=False, timeout=60)
        return result.code == 0

    def step(self):
        name = f"w{self.count}"
        self.count += 1
        self.unsure.add(name)
        domain = f"{name}.home.example"
        if self.p2prc("spin", name, "--port", "0", "--domain", domain, "--no-wait", "--", "/usr/bin/sleep", "infinity"):
            self.unsure.discard(name)
            self.present.add(name)
            self.domains.add(domain)
        if len(self.present) > 3:
            victim = self.chance.choice(sorted(self.present))
            self.present.discard(victim)
            self.domains.discard(f"{victim}.home.example")
            self.unsure.add(victim)
            if self.p2prc("kill", victim):
                self.unsure.discard(victim)
                self.gone.add(victim)

    def run(self):
        while not self.stopping.is_set():
            try:
                self.step()
            except Exception:  # the machine was off when the command was to start
                self.stopping.wait(0.2)


def agree(lab, worker):
    """What is wrong, in words; empty when all is as it was acknowledged."""
    listed = lab.root.run("p2prc ps -o json", check=False)
    if listed.code != 0:
        return "root does not answer"
    processes = {p["name"]: p for p in json.loads(listed.out)}
    missing = worker.present - set(processes)
    if missing:
        return f"acknowledged and lost: {missing}"
    back = worker.gone & set(processes)
    if back:
        return f"killed and back: {back}"
    idle = [name for name in worker.present if not processes[name]["status"]]
    if idle:
        return f"not running: {idle}"
    units = {line.split()[0].removeprefix("p2prc-").removesuffix(".service")
             for line in lab.home1.run("systemctl list-units --no-legend --plain --state=active 'p2prc-w*.service'").out.splitlines()}
    if units != {name for name, p in processes.items() if p["status"]}:
        return f"units {units} and records {set(processes)} differ"
    domains = {d["domain"] for d in lab.root.json("domains")}
    if not worker.domains <= domains:
        return f"domains lost: {worker.domains - domains}"
    for domain in sorted(domains):
        if "203.0.113.10" not in lab.client.run(["dig", "+short", "+time=2", "+tries=1", "@203.0.113.10", domain, "A"], check=False).out:
            return f"{domain} is not answered"
    return ""


def test_a_fleet(lab):
    print(f"P2PRC_CHAOS_SEED={SEED}", flush=True)
    lab.root.p2prc("init", "--name", "root", "--domain", "home.example", "--public-ip", "203.0.113.10", "--acme", "none")
    lab.home1.p2prc("join", lab.root.p2prc("invite").out.strip())


def test_nothing_acknowledged_is_lost_in_any_fall(lab):
    chance = random.Random(SEED)
    worker = Worker(lab, random.Random(SEED + 1))
    worker.start()

    def kill(machine, unit):
        pid = machine.unit(unit)["MainPID"]
        if pid != "0":
            machine.run(["kill", "-KILL", pid], check=False)

    def cut(machine):
        machine.power_cut()
        machine.boot()

    falls = [lambda: kill(lab.home1, "p2prcd.service"), lambda: kill(lab.root, "p2prcd.service"), lambda: kill(lab.root, "p2prc-edge.service"),
             lambda: kill(lab.home1, "p2prc-connector.service"), lambda: cut(lab.home1), lambda: cut(lab.root)]
    chance.shuffle(falls)
    for number in range(FALLS):
        time.sleep(chance.uniform(0.3, 2.0))  # the random instant itself, not a wait for something
        falls[number % len(falls)]()
    worker.stopping.set()
    worker.join(180)
    assert not worker.is_alive(), "a command hangs"
    assert worker.present, "nothing was acknowledged at all"
    state = {"why": "never looked"}

    def settled():
        state["why"] = agree(lab, worker)
        return state["why"] == ""
    try:
        wait_until(settled, 90, "records, units and routes to agree")
    except Exception as problem:
        raise AssertionError(f"seed {SEED}: {state['why']}") from problem

#!/usr/bin/env python3
"""Processes that come and go for a long time: script/bench churn [--processes N] [--homes H] [--minutes M] [--rate R] [--seed S].

In the lab's machines, with the packages of dist/ (or $P2PRC_PACKAGES). On each node, N / nodes processes run while one hand spins, kills, updates,
stops, starts and crashes them at random, R times a second; with homes, the root's hand does so on all nodes. Then, when it is quiet: records,
units, control groups and what runs in them are compared with what was asked for, on every node, and p2prcd's memory with what it was before,
and with what it is after a restart. The seed is printed. Fails if anything was lost, left over or refused, or if memory has grown. Needs root, for
the machines.
"""

import argparse
import os
import random
import shlex
import sys
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True
for directory in (f"{ROOT}/tests/lab", f"{ROOT}/bench"):
    if directory not in sys.path:
        sys.path.insert(0, directory)

from lab import Lab, LabError, wait_until  # noqa: E402
from lab.household import make_fleet  # noqa: E402
from spin import programs, pss  # noqa: E402

HOMES = ["home1", "home2", "home3"]
SAMPLES = 20
CONFLICT = 6       # exit status
QUIET_SECONDS = 40 # an update may be on its way for so long: a crash then takes it back, as it should
GROWTH = 0.10      # of memory, from the middle of the time to its end
RESTART = 0.35     # more than after a restart: pools, caches, and what lies between allocations
# What each step is, and how often out of a hundred.
STEPS = {"spin": 22, "kill": 20, "update": 20, "crash": 20, "stop": 9, "start": 9}
# Prints a line for each process of the slice, and of those below it of the nodes that have spun here: unit, words of the command.
SLICE = r"""for g in /sys/fs/cgroup/p2prc.slice/*.service /sys/fs/cgroup/p2prc.slice/*.slice/*.service; do [ -d "$g" ] || continue; for p in $(cat "$g/cgroup.procs"); do echo "$(basename "$g") $(tr '\0' ' ' </proc/$p/cmdline)"; done; done"""


class Wanted:
    """What was asked for of one process."""

    def __init__(self, node, number):
        self.node, self.number, self.runs = node, number, True
        self.touched = time.monotonic()

    def command(self):
        """A number that is no other revision's is in the words of the command."""
        return ["/usr/bin/sleep", str(1_000_000 + self.number)]


class Hand(threading.Thread):
    """One person at one machine, who does one thing after the other."""

    def __init__(self, machine, nodes, count, chance, rate):
        super().__init__(daemon=True)
        self.machine, self.nodes, self.count, self.chance, self.rate = machine, nodes, count, chance, rate
        self.ending = threading.Event()
        self.wanted = {}  # name -> Wanted
        self.made = 0
        self.done, self.refused, self.problems = dict.fromkeys(STEPS, 0), 0, []

    def p2prc(self, *words):
        """Whether it was done; a conflict is an answer."""
        result = self.machine.run(["p2prc", *words], check=False, timeout=180)
        if result.code not in (0, CONFLICT):
            self.problems.append(f"{self.machine.name}: p2prc {shlex.join(words)}: exit status {result.code}: {result.err.strip()}")
        self.refused += result.code == CONFLICT
        return result.code == 0

    def spin_as(self, name, wanted):
        return self.p2prc("spin", name, "--node", wanted.node, "--no-wait", "--", *wanted.command())

    def fill(self):
        while len(self.wanted) < self.count:
            self.spin()

    def spin(self):
        if len(self.wanted) >= self.count:
            return
        self.made += 1
        name, wanted = f"{self.machine.name}-{self.made}", Wanted(self.chance.choice(self.nodes).name, self.made)
        if self.spin_as(name, wanted):
            self.wanted[name] = wanted
            self.done["spin"] += 1

    def pick(self, runs, quiet=0.0):
        now = time.monotonic()
        names = [name for name, wanted in self.wanted.items() if wanted.runs == runs and now - wanted.touched >= quiet]
        return self.chance.choice(sorted(names)) if names else None

    def kill(self):
        name = self.pick(self.chance.random() < 0.9)
        if name and self.p2prc("kill", name):
            del self.wanted[name]
            self.done["kill"] += 1

    def update(self):
        name = self.pick(True)
        if not name:
            return
        before = self.wanted[name]
        self.made += 1
        after = Wanted(before.node, self.made)
        if self.spin_as(name, after):
            self.wanted[name] = after
            self.done["update"] += 1

    def switch(self, verb, runs):
        name = self.pick(not runs)
        if name and self.p2prc(verb, name, *(["--no-wait"] if runs else [])):
            self.wanted[name].runs, self.wanted[name].touched = runs, time.monotonic()
            self.done[verb] += 1

    def stop(self):
        self.switch("stop", False)

    def start_one(self):
        self.switch("start", True)

    def crash(self):
        # Not again within the minute in which systemd counts starts.
        name = self.pick(True, quiet=QUIET_SECONDS)
        if not name:
            return
        machine = next(node for node in self.nodes if node.name == self.wanted[name].node)
        pid = machine.unit(f"p2prc-{name}.service")["MainPID"]
        if pid != "0" and machine.run(["kill", "-SEGV", pid], check=False).code == 0:
            self.wanted[name].touched = time.monotonic() + 60
            self.done["crash"] += 1

    def run(self):
        steps = {"spin": self.spin, "kill": self.kill, "update": self.update, "crash": self.crash, "stop": self.stop, "start": self.start_one}
        try:
            while not self.ending.wait(self.chance.expovariate(self.rate)):
                steps[self.chance.choices(list(STEPS), list(STEPS.values()))[0]]()
        except Exception as problem:
            self.problems.append(f"{self.machine.name}: {problem}")


def compare(nodes, wanted):
    """What is not as it was asked for; empty: nothing."""
    problems = []
    for machine in nodes:
        listed = {row["name"]: row for row in machine.json("ps")}
        for name in sorted({*listed} ^ {*wanted}):
            problems.append(f"{machine.name}: record of {name}: {'lost' if name in wanted else 'left over'}")
        for name in sorted({*listed} & {*wanted}):
            row, should = listed[name], wanted[name]
            if row["node"] != should.node or (row["state"] == "running") != should.runs or row["state"] not in ("running", "stopped"):
                problems.append(f"{machine.name}: {name} is {row['state']} on {row['node']}, wanted: {'running' if should.runs else 'stopped'} on {should.node}")
        here = {f"p2prc-{name}.service": " ".join(should.command()) for name, should in wanted.items() if should.node == machine.name and should.runs}
        lines = machine.run(SLICE).out.splitlines()
        running = sorted((line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in lines)
        if running != sorted(here.items()):
            problems.append(f"{machine.name}: in p2prc.slice: {sorted({*running} ^ {*here.items()})}, {len(running)} processes for {len(here)}")
        units = machine.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", "p2prc-*.service"]).out
        ours = {line.split()[0]: line.split()[2] for line in units.splitlines() if line.split()[0] not in ("p2prc-edge.service", "p2prc-connector.service")}
        for unit in sorted({*ours} ^ {*here}):
            problems.append(f"{machine.name}: {unit} is {'left over, ' + ours[unit] if unit in ours else 'not there'}")
        sleeping = int(machine.run("pgrep -c -x sleep || true").out)
        if sleeping != len(here):
            problems.append(f"{machine.name}: {sleeping} processes of that command, wanted {len(here)}")
    return problems


def memory(nodes):
    """p2prcd's, in MB PSS, by node."""
    return {machine.name: pss(programs(machine)["p2prcd"]) for machine in nodes}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, help="on all nodes together (500, or 2000 with homes)")
    parser.add_argument("--homes", type=int, default=0, choices=range(len(HOMES) + 1), help="besides the root; none: one node alone")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=2, help="steps a second, of each hand")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    count = options.processes or (2000 if options.homes else 500)
    homes = HOMES[:options.homes]
    print(f"seed {options.seed}: {count} processes, {1 + len(homes)} nodes, {options.minutes:g} minutes", flush=True)
    with Lab(["root", *homes]) as lab:
        lab.install()
        if homes:
            make_fleet(lab, *homes)
        nodes = [lab.machines[name] for name in ("root", *homes)]
        # Members change only their own; the root's hand reaches all nodes.
        hands = [Hand(machine, nodes if machine.name == "root" else [machine], count // len(nodes), random.Random(f"{options.seed} {machine.name}"), options.rate)
                 for machine in nodes]
        begin = time.monotonic()
        fillers = [threading.Thread(target=hand.fill, daemon=True) for hand in hands]
        for filler in fillers:
            filler.start()
        for filler in fillers:
            filler.join()
        if any(hand.problems for hand in hands):
            sys.exit("\n".join(problem for hand in hands for problem in hand.problems[:10]))
        print(f"{count} processes spun in {time.monotonic() - begin:.0f} s", flush=True)
        series = [memory(nodes)]
        for hand in hands:
            hand.done["spin"] = 0
            hand.start()
        for _ in range(SAMPLES):
            time.sleep(options.minutes * 60 / SAMPLES)
            series.append(memory(nodes))
        for hand in hands:
            hand.ending.set()
        for hand in hands:
            hand.join(300)
        problems = [problem for hand in hands for problem in hand.problems] + [f"{hand.machine.name}: a command hangs" for hand in hands if hand.is_alive()]
        wanted = {name: each for hand in hands for name, each in hand.wanted.items()}
        last = {"seen": ["never looked"]}

        def settled():
            last["seen"] = compare(nodes, wanted)
            if last["seen"]:
                raise LabError("; ".join(last["seen"][:5]))
            return True
        try:
            wait_until(settled, 180, "records, units and processes to agree", interval=3)
        except LabError:
            problems += last["seen"]
        steps = {step: sum(hand.done[step] for hand in hands) for step in STEPS}
        print(f"steps: {steps}, {sum(hand.refused for hand in hands)} refused as conflicts; {len(wanted)} processes at the end", flush=True)
        for machine in nodes:
            machine.run("systemctl restart p2prcd.service && until p2prc ps >/dev/null 2>&1; do sleep 0.2; done", timeout=120)
        time.sleep(10)
        fresh = memory(nodes)
        for machine in nodes:
            name = machine.name
            middle, end = series[SAMPLES // 2][name], series[-1][name]
            held = end <= middle * (1 + GROWTH) + 0.5 and end <= fresh[name] * (1 + RESTART) + 1
            print(f"p2prcd on {name}, MB PSS: {series[0][name]:.1f} at first, {middle:.1f} in the middle, {end:.1f} at the end, {fresh[name]:.1f} after a restart "
                  f"(aims: at most {GROWTH:.0%} from the middle on, {RESTART:.0%} more than after a restart): {'held' if held else 'missed'}")
            if not held:
                problems.append(f"{name}: the memory of p2prcd has grown")
        try:
            wait_until(settled, 60, "all to run on after a restart of p2prcd", interval=3)
        except LabError:
            problems += [f"after a restart: {problem}" for problem in last["seen"]]
    for problem in problems[:40]:
        print(problem)
    print("nothing lost, nothing left over" if not problems else f"{len(problems)} problems; seed {options.seed}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

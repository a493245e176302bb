#!/usr/bin/env python3
"""A fleet of many members on one root: script/bench scale [--members N] [--processes N] [--domains N] [--rounds N].

In the lab's machines, with the packages of dist/ (or $P2PRC_PACKAGES): first a fleet of a root and one home with 10 processes, then the same
with 1,000 more members, 10,000 processes and 12,000 domains. The members are simulated: their documents are written into the registry past its
rules, and one program holds a real control link for each (tests/lab/lab/crowd.py). The home and one that joins at the end are real.
Of each fleet: the time of commands and the processor time that p2prcd on the root takes for them, the bytes that each member is fed, memory.
Needs root, for the machines.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True
if f"{ROOT}/tests/lab" not in sys.path:
    sys.path.insert(0, f"{ROOT}/tests/lab")

from lab import Lab, wait_until  # noqa: E402
from lab.conquered import conquered  # noqa: E402
from lab.crowd import Crowd, fill, make_keys, name_of  # noqa: E402
from lab.household import domain, invite, join, make_fleet, spin, wait_executed  # noqa: E402

MACHINES = ["root", "client", "home1", "home2"]
SLEEP = ["/usr/bin/sleep", "infinity"]
FEW = 10             # processes of the small fleet
SETTLED = 0.02       # p2prcd is at rest when it takes less of a processor than this beyond what pings cost
# Each is timed on its machine by one shell and its clock (bash(1), EPOCHREALTIME), so that only the command counts.
COMMANDS = {
    "ps": ("root", "p2prc ps"),
    "ps -o json": ("root", "p2prc ps -o json"),
    "domains": ("root", "p2prc domains"),
    "spin at a home": ("home1", "p2prc spin new$i --no-wait -- /usr/bin/sleep infinity"),
    "map-domain at a home": ("home1", "p2prc map-domain new$i.home.example app"),
    "unmap-domain at a home": ("home1", "p2prc unmap-domain new$i.home.example"),
    "kill at a home": ("home1", "p2prc kill new$i"),
}


def p2prcd(machine):
    """The daemon's process, as the box numbers it."""
    space = os.readlink(f"/proc/{machine.leader[0]}/ns/pid")
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/comm", encoding="ascii") as file:
                if file.read().strip() == "p2prcd" and os.readlink(f"/proc/{entry}/ns/pid") == space:
                    return entry
        except OSError:
            continue
    raise RuntimeError(f"p2prcd does not run on {machine.name}")


def memory(machine):
    """Of p2prcd, its PSS in MB."""
    with open(f"/proc/{p2prcd(machine)}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


def processor(machine):
    """Seconds that p2prcd has had of a processor."""
    pid, total = p2prcd(machine), 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def settle(machine, sample, timeout=120):
    """Waits until p2prcd has nothing to do any more, looking at it for `sample` seconds each time; returns what it takes of a processor then."""
    def rate():
        begin = processor(machine)
        time.sleep(sample)
        return (processor(machine) - begin) / sample
    deadline = time.monotonic() + timeout
    before = rate()
    while time.monotonic() < deadline:
        now = rate()
        if abs(now - before) < SETTLED:
            return now
        before = now
    return before


def take(machine, command, rounds):
    """Seconds of each round of a command."""
    loop = f"for i in $(seq {rounds}); do a=${{EPOCHREALTIME/./}}; {command} >/dev/null || exit; b=${{EPOCHREALTIME/./}}; echo $((b - a)); done"
    out = machine.run(["bash", "-c", loop], timeout=60 + 5 * rounds).out
    return [int(line) / 1e6 for line in out.split()]


def cost(lab, machine, command, rounds, sample, crowd):
    """Of one command: its median time, the processor time of p2prcd on the root with what follows, and the bytes fed to each member."""
    idle = settle(lab.root, sample)
    if crowd:
        crowd.count()
    begin, used = time.monotonic(), processor(lab.root)
    times = take(machine, command, rounds)
    settle(lab.root, sample)
    used = processor(lab.root) - used - idle * (time.monotonic() - begin)
    fed = crowd.count() if crowd else {"mean": 0, "least": 0}
    return {"ms": 1000 * statistics.median(times), "cpu_ms": 1000 * used / rounds, "fed": fed["mean"] / rounds, "fed_least": fed["least"] / rounds}


def look(lab, rounds, sample, crowd=None):
    """All commands with the fleet as it is."""
    found = {name: cost(lab, lab.machines[where], command, rounds, sample, crowd) for name, (where, command) in COMMANDS.items()}
    settle(lab.root, sample)
    found["memory"] = memory(lab.root)
    return found


def restart(lab, links, sample, crowd):
    """p2prcd of the root anew: seconds until systemd has it ready, until all links are back, and its processor time until it is at rest."""
    begin = time.monotonic()
    lab.root.run(["systemctl", "restart", "p2prcd"], timeout=120)
    ready = time.monotonic() - begin
    wait_until(lambda: crowd.count()["links"] == links, 300, "all members to be back", interval=0.2)
    back = time.monotonic() - begin
    settle(lab.root, sample)
    return {"ready_s": ready, "links_s": back, "cpu_s": processor(lab.root), "memory": memory(lab.root)}


def admit(lab, machine, processes):
    """One more member, a real one: seconds until it has joined, and until it lists every process."""
    token = invite(lab)
    begin = time.monotonic()
    join(lab, machine, token)
    joined = time.monotonic() - begin
    wait_until(lambda: len(machine.json("ps")) >= processes, 120, f"{machine.name} to list all processes")
    return {"join_s": joined, "listed_s": time.monotonic() - begin, "memory": memory(machine)}


def measure(lab, members, processes, domains, rounds, sample=1.0):
    """Everything, in one lab with p2prc on root, home1 and home2."""
    make_fleet(lab, "home1")
    spin(lab.home1, "app", SLEEP, port=0, wait=False)
    wait_executed(lab.root, "app")
    lab.home1.p2prc("map-domain", "app.home.example", "app")
    wait_until(lambda: domain(lab.root, "app.home.example"), 20, "the domain")
    for number in range(FEW - 1):
        lab.home1.p2prc("spin", f"few{number}", "--no-wait", "--", *SLEEP)
    few = look(lab, rounds, sample)
    with tempfile.TemporaryDirectory() as directory:
        fingerprints = make_keys(directory, members)
        with conquered(lab.root) as registry:
            fill(registry, fingerprints, processes, domains)
        wait_until(lambda: len(lab.home1.json("ps")) == FEW + processes, 120, "the home to list all processes")
        with Crowd(lab.client, directory, members) as crowd:
            wait_until(lambda: crowd.count()["links"] == members, 60 + members / 5, "all members to be connected", interval=0.2)
            many = look(lab, rounds, sample, crowd)
            snapshot = crowd.snapshot()
            again = restart(lab, members, sample, crowd)
            more = admit(lab, lab.home2, FEW + processes)
            up = sum(node["state"] == "up" for node in lab.root.json("nodes") if node["name"].startswith(name_of("")))
    return {"few": few, "many": many, "snapshot": snapshot, "restart": again, "join": more, "up": up}


def show(found, arguments):
    few, many = found["few"], found["many"]
    print(f"{arguments.members} members, {arguments.processes} processes, {arguments.domains} domains, beside 1, {FEW} and 1; median of {arguments.rounds}")
    print(f"{'':<24}{'few: ms':>10}{'many: ms':>10}{'CPU, few':>10}{'CPU, many':>10}{'bytes fed':>11}")
    for name in COMMANDS:
        one, other = few[name], many[name]
        print(f"{name:<24}{one['ms']:>10.1f}{other['ms']:>10.1f}{one['cpu_ms']:>10.1f}{other['cpu_ms']:>10.1f}{other['fed']:>11.0f}")
    print(f"ps of {arguments.processes}: {many['ps']['ms']:.0f} ms (aim: under 300)")
    print(f"a spin: {many['spin at a home']['ms'] - few['spin at a home']['ms']:+.0f} ms (aim: under 100 more)")
    print(f"p2prcd on the root: {few['memory']:.1f} MB PSS with few, {many['memory']:.1f} with many (aim: under 100)")
    print(f"everything for one member: {found['snapshot']['bytes'] / 1e6:.1f} MB in {found['snapshot']['seconds']:.2f} s")
    again, more = found["restart"], found["join"]
    print(f"restart on the root: ready after {again['ready_s']:.2f} s, all members back after {again['links_s']:.1f} s, "
          f"{again['cpu_s']:.1f} s of the processor, {again['memory']:.1f} MB PSS")
    print(f"one more member: joined after {more['join_s']:.2f} s, lists everything after {more['listed_s']:.2f} s, {more['memory']:.1f} MB PSS")


def main():
    parser = argparse.ArgumentParser(prog="script/bench scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("members", 1000), ("processes", 10_000), ("domains", 12_000), ("rounds", 11)):
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=f"{value} without it")
    arguments = parser.parse_args()
    with Lab(MACHINES) as lab:
        lab.install("root", "home1", "home2")
        show(measure(lab, arguments.members, arguments.processes, arguments.domains, arguments.rounds), arguments)


if __name__ == "__main__":
    main()

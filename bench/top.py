#!/usr/bin/env python3
"""What `p2prc top` costs: script/bench top [--processes N] [--seconds S].

In the lab's machines, with the packages of dist/ (or $P2PRC_PACKAGES): a root and a home with N processes (200). Prints what p2prcd takes of a
processor on each, while nobody watches and while somebody on the root does, once a second. Needs root, for the machines.
"""

import argparse
import os
import signal
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True
for directory in (f"{ROOT}/tests/lab", f"{ROOT}/bench"):
    if directory not in sys.path:
        sys.path.insert(0, directory)

from lab import Lab  # noqa: E402
from lab.household import make_fleet  # noqa: E402
from scale import processor, settle  # noqa: E402

AIM = 2.0  # percent of a processor


def shares(machines, seconds):
    """What p2prcd takes on each, in percent of a processor."""
    begin = [processor(machine) for machine in machines]
    time.sleep(seconds)
    return [(processor(machine) - before) / seconds * 100 for machine, before in zip(machines, begin)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    with Lab(["root", "home1"]) as lab:
        lab.install()
        make_fleet(lab, "home1")
        lab.home1.run(f"for i in $(seq {options.processes}); do p2prc spin app$i --no-wait -- /usr/bin/sleep infinity || exit; done", timeout=600)
        machines = [lab.root, lab.home1]
        for machine in machines:
            settle(machine, 3)
        quiet = shares(machines, options.seconds)
        watch = lab.root.popen(["p2prc", "top", "-o", "json"], stdout=subprocess.DEVNULL)
        time.sleep(3)
        watched = shares(machines, options.seconds)
        os.killpg(watch.pid, signal.SIGKILL)
    for machine, before, during in zip(machines, quiet, watched):
        verdict = "ok" if during - before < AIM else f"more than {AIM} %"
        print(f"p2prcd on {machine.name}, {options.processes} processes: {before:.2f} % of a processor, {during:.2f} % while watched: {verdict}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A start of an `image` process against podman with the same archive: script/bench image [ROUNDS].

On one machine of the lab, with the packages of dist/ (or $P2PRC_PACKAGES), as script/bench makes them. Both have the image unpacked
already: what is timed is `p2prc start --no-wait`, which returns when the command has been executed, beside `podman run --detach` of
what was pulled; each is stopped between two rounds, and the rounds alternate. A `container` process, which is podman within p2prc, is
the third, until podman says that it runs. Medians are compared, less what it takes to get onto the machine. Then the memory (PSS) of
all processes that run for it: the whole of its control groups, and what serves it beside (podman's monitor; no share of p2prcd, which
runs anyway and is printed by itself). Needs root, for the lab.
"""

import os
import statistics
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, f"{ROOT}/tests/lab")
sys.dont_write_bytecode = True

from lab import Lab  # noqa: E402

AIM = 0.6
MAKE = r"""
set -e
mkdir -p /root/made /etc/containers && cd /root/made
# A machine of the lab is on overlayfs, which podman's own driver cannot be on: vfs copies, so the image is a small one, and what podman
# would save by sharing layers is no part of what is measured.
printf '[storage]\ndriver = "vfs"\ngraphroot = "/var/lib/containers/storage"\nrunroot = "/run/containers/storage"\n' >/etc/containers/storage.conf
printf '[containers]\nkeyring = false\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n' >/etc/containers/containers.conf
umoci init --layout l && umoci new --image l:x && umoci unpack --image l:x b
mkdir -p b/rootfs/bin b/rootfs/tmp
cp /bin/busybox b/rootfs/bin/busybox && ln -s busybox b/rootfs/bin/sleep
umoci repack --image l:x b
umoci config --image l:x --config.entrypoint /bin/sleep --config.cmd 1000000
tar -cf /srv/x.tar -C l .
"""
# podman says when it runs, which a start does not wait for.
RUN_BOXED = "p2prc start boxed --no-wait && until systemctl -q is-active p2prc-boxed; do sleep 0.005; done"
PODMAN = ["podman", "run", "--detach", "--rm", "--name", "peer", "--network=host", "--cgroups=disabled", "--log-driver=none", "--pull=never"]


def timed(machine, command):
    begin = time.monotonic()
    machine.run(command, timeout=120)
    return time.monotonic() - begin


def pss(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total / 1024


def running(machine, *names):
    """The processes of these names on the machine, as the host numbers them, with all that descends from them."""
    space = os.readlink(f"/proc/{machine.leader[0]}/ns/pid")
    parents, found = {}, set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        parents[entry] = text.rsplit(")", 1)[1].split()[1]
        name = text.split("(", 1)[1].rsplit(")", 1)[0]
        # A container has a namespace of its own; its monitor has that of the machine.
        if name in names and os.readlink(f"/proc/{entry}/ns/pid") == space:
            found.add(entry)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def spin(machine, name, strategy):
    machine.write(f"/root/{name}.toml", f'name = "{name}"\n[deploy]\nstrategy = "{strategy}"\nscript = "oci-archive:/srv/x.tar"\n')
    machine.p2prc("spin", f"/root/{name}.toml", timeout=300)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with Lab(["home1"]) as lab:
        lab.install()
        home = lab.home1
        home.install(lab.archive("podman", "crun", "skopeo", "umoci", "busybox-static"))
        home.run(MAKE)
        image = home.run(["podman", "pull", "--quiet", "oci-archive:/srv/x.tar"]).out.strip()
        spin(home, "mine", "image")
        spin(home, "boxed", "container")
        starts = {"p2prc image": (["p2prc", "start", "mine", "--no-wait"], ["p2prc", "stop", "mine"]),
                  "podman run": ([*PODMAN, image], ["podman", "rm", "--force", "--time", "0", "peer"]),
                  "p2prc container": (["sh", "-c", RUN_BOXED], ["p2prc", "kill", "none"])}
        # Process 1 of a container ignores SIGTERM here, so a stop would take its ten seconds.
        starts["p2prc container"] = (starts["p2prc container"][0], ["sh", "-c", "systemctl kill -s KILL p2prc-boxed; p2prc stop boxed"])
        for _, stop in starts.values():
            home.run(stop, check=False, timeout=120)
        times, entering = {who: [] for who in starts}, []
        order = list(starts)
        for number in range(rounds):
            for who in order[number % 3:] + order[:number % 3]:
                start, stop = starts[who]
                times[who].append(timed(home, start))
                home.run(stop, timeout=120)
            entering.append(timed(home, ["true"]))
        base = statistics.median(entering)
        medians = {who: statistics.median(values) - base for who, values in times.items()}
        theirs = medians["podman run"]
        for who, value in medians.items():
            aim = f" (aim: at most {AIM})" if who == "p2prc image" else ""
            print(f"a warm start: {who} {value * 1000:.0f} ms, ratio to podman run {value / theirs:.2f}{aim}; median of {rounds}")
        home.run(starts["p2prc image"][0])
        mine = pss({home_pid for home_pid in running(home, "sleep", "busybox")})
        home.run(starts["p2prc image"][1])
        home.run(starts["podman run"][0])
        peer = pss(running(home, "conmon"))
        home.run(starts["podman run"][1])
        daemon = pss(running(home, "p2prcd"))
        print(f"memory of what runs for it: p2prc image {mine:.1f} MB PSS, podman run {peer:.1f} MB, ratio {mine / peer:.2f} (aim: at most {AIM}); "
              f"p2prcd, once for all processes: {daemon:.1f} MB")


if __name__ == "__main__":
    main()

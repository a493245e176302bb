"""What a run has made on the box, written down before it is made, so that it can be undone by anybody at any time.

A run is a directory /run/p2prc-lab/ID with state.json. Its owner is the process that made it; when the owner is gone and the
run was not asked to stay, whoever comes by (the run's own keeper at once, else the next run) undoes it.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import time

from . import host
from .errors import LabError

RUNS = "/run/p2prc-lab"
CACHE = os.environ.get("P2PRC_LAB_CACHE", "/var/cache/p2prc-lab")


@contextlib.contextmanager
def lock(name):
    """Holds the lock `name` among all runs of the box."""
    os.makedirs(RUNS, exist_ok=True)
    with open(f"{RUNS}/{name}.lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Record:
    """The list of what one run has made, on disk."""

    def __init__(self, run, state):
        self.run = run
        self.state = state
        # Machines boot in threads.
        self.writing = threading.RLock()

    @classmethod
    def create(cls, run):
        """Begins a run; with run None a free name is chosen."""
        os.makedirs(RUNS, exist_ok=True)
        while True:
            name = run or os.urandom(2).hex()
            try:
                os.mkdir(f"{RUNS}/{name}")
                break
            except FileExistsError:
                if run:
                    raise LabError(f"a lab named '{run}' exists; script/lab down removes it") from None
        record = cls(name, {
            "owner": host.process(os.getpid()), "kept": False, "namespaces": [], "mounts": [], "cgroups": [],
            "processes": [], "directories": [], "machines": [], "running": {}})
        record.save()
        return record

    @classmethod
    def load(cls, run):
        try:
            with open(f"{RUNS}/{run}/state.json", encoding="utf-8") as file:
                return cls(run, json.load(file))
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def save(self):
        path = f"{RUNS}/{self.run}/state.json"
        with self.writing:
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump(self.state, file, indent=1)
            os.rename(path + ".new", path)

    def add(self, kind, value):
        """Notes something that is about to be made."""
        with self.writing:
            if value not in self.state[kind]:
                self.state[kind].append(value)
                self.save()

    def on(self, machine, processes):
        """Notes that a machine is on, with its processes by name; None: that it is off. Returns what was noted before."""
        with self.writing:
            before = self.state["running"].pop(machine, None)
            if processes:
                self.state["running"][machine] = processes
            self.save()
            return before

    def keep(self):
        """The run stays when its owner ends."""
        self.state["kept"] = True
        self.save()

    def abandoned(self):
        return not self.state["kept"] and not host.alive(self.state["owner"])

    def guard(self):
        """Starts the keeper, which undoes the run as soon as this process is gone, however it went. Returns the pipe it watches."""
        reading, writing = os.pipe()
        keeper = subprocess.Popen([sys.executable, "-m", "lab.keeper", self.run], stdin=reading, stdout=subprocess.DEVNULL,
                                  start_new_session=True, cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        os.close(reading)
        self.keeper = keeper
        return writing

    def undo(self):
        """Removes everything the run has made. Doing it twice is harmless."""
        with lock(f"undo-{self.run}"):
            for cgroup in reversed(self.state["cgroups"]):
                _write(f"{cgroup}/cgroup.freeze", "0")
                _write(f"{cgroup}/freezer.state", "THAWED")
                _write(f"{cgroup}/cgroup.kill", "1")
            for named in self.state["processes"]:
                host.kill(named)
            _until(lambda: not any(host.alive(named) for named in self.state["processes"]))
            for mount in reversed(self.state["mounts"]):
                # Lazily: a process of the machine that is still exiting must not keep the run from going away.
                if os.path.ismount(mount):
                    host.call("umount", "--lazy", mount, check=False)
            for namespace in self.state["namespaces"]:
                if os.path.exists(f"/run/netns/{namespace}"):
                    host.call("ip", "netns", "delete", namespace, check=False)
            for cgroup in reversed(self.state["cgroups"]):
                _until(lambda cgroup=cgroup: _remove_cgroup(cgroup))
            for directory in self.state["directories"]:
                shutil.rmtree(directory, ignore_errors=True)
            shutil.rmtree(f"{RUNS}/{self.run}", ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{RUNS}/undo-{self.run}.lock")


def runs():
    """The names of all runs on the box."""
    try:
        return sorted(name for name in os.listdir(RUNS) if os.path.isdir(f"{RUNS}/{name}"))
    except FileNotFoundError:
        return []


def reap():
    """Undoes every run whose owner is gone."""
    for name in runs():
        record = Record.load(name)
        if record and record.abandoned():
            record.undo()


def _write(path, text):
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        pass


def _remove_cgroup(path):
    for directory, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not os.path.exists(path)


def _until(condition, timeout=10):
    deadline = time.monotonic() + timeout
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)

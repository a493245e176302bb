"""Commands on the box itself, and processes named so that a reused pid is never mistaken for them."""

import os
import signal
import subprocess

from .errors import LabError


def call(*command, input=None, check=True):
    """Runs a command on the box; returns its standard output."""
    done = subprocess.run(command, input=input, capture_output=True, text=True, stdin=None if input is not None else subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: exit status {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def start_time(pid):
    """The start time of a process in clock ticks since boot, or None where there is none: with the pid it names one process for good."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def process(pid):
    """The lasting name of a running process."""
    return [pid, start_time(pid)]


def alive(named):
    """Whether the process that `process` named still runs."""
    return named[1] is not None and start_time(named[0]) == named[1]


def kill(named, signum=signal.SIGKILL):
    """Signals the process that `process` named, if it still runs."""
    if alive(named):
        try:
            os.kill(named[0], signum)
        except ProcessLookupError:
            pass


def allow_inotify():
    """Lets uid 0 have enough inotify instances: all machines and the box count as one user, a booted machine has some eight, and the
    kernel's own limit is 128."""
    path, wanted = "/proc/sys/fs/inotify/max_user_instances", 1024
    with open(path, encoding="ascii") as file:
        allowed = int(file.read())
    if allowed < wanted:
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{wanted}\n")


def children(pid):
    """The direct children of a process."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as line:
                found += [int(child) for child in line.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def namespace_pid(pid):
    """The pid a process has inside its innermost pid namespace, or None."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("NSpid:"):
                    pids = line.split()[1:]
                    return int(pids[-1]) if len(pids) > 1 else None
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None

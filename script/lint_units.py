"""The translation units of preset lint, for the checks that read the product and build nothing of it.

A unit that passed is not read again until it, a header of ours that it includes, or what the check is made of has changed.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

JOBS = int(os.environ.get("P2PRC_TEST_JOBS", "2"))


def digest(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def content(path):
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


class Unit:
    """One entry of the compile commands: several sources of one library, or a source by itself."""

    def __init__(self, entry, build):
        self.directory = entry["directory"]
        self.file = entry["file"]
        self.words = shlex.split(entry["command"])
        out = self.words.index("-o")
        # Which directory of ours it belongs to: files of several sources are below the build's copy of that.
        self.name = os.path.relpath(self.file, build if self.file.startswith(f"{build}/") else os.getcwd())
        del self.words[out:out + 2]

    def sources(self):
        """What of ours it reads, if that can be told. Headers of the system are left out: they change with its packages, seldom."""
        done = subprocess.run([*self.words, "-MM"], cwd=self.directory, capture_output=True, text=True, check=False)
        return done.returncode == 0 and [os.path.normpath(os.path.join(self.directory, path)) for path in done.stdout.replace("\\\n", " ").split()[1:]]


def units(directories):
    """Those of these directories, or all."""
    subprocess.run(["cmake", "--preset", "lint"], check=True, stdout=subprocess.DEVNULL)
    build = os.path.abspath("build/lint")
    with open(f"{build}/compile_commands.json", encoding="utf-8") as file:
        found = [Unit(entry, build) for entry in json.load(file)]
    return [unit for unit in found if not directories or any(unit.name.startswith(f"{path.rstrip('/')}/") for path in directories)]


def passed_before(stamp, key):
    try:
        with open(stamp, encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError):
        return False
    return told["key"] == key and all(content(path) == hashed for path, hashed in told["files"].items())


def check(name, directories, command, *settings):
    """Runs command(unit) for all units; what fails is shown. Returns the exit status: 1 where one failed, or there was none."""
    stamps = f"build/lint/passed/{name}"
    os.makedirs(stamps, exist_ok=True)
    found = units(directories)
    if not found:
        print(f"{name}: no sources in {' '.join(directories) or 'preset lint'}", file=sys.stderr)
        return 1

    def one(unit):
        words = command(unit)
        key, stamp = digest(unit.words, words, settings), f"{stamps}/{digest(unit.file)}"
        if passed_before(stamp, key):
            return True
        # Taken before it is read: what changes meanwhile is read again.
        sources = unit.sources()
        files = {path: content(path) for path in sources or ()}
        done = subprocess.run(words, cwd=unit.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        if done.returncode != 0:
            print(f"{name}: {unit.name}\n{done.stdout[:6000]}", flush=True)
            return False
        if sources:
            with open(stamp, "w", encoding="utf-8") as file:
                json.dump({"key": key, "files": files}, file)
        return True
    with ThreadPoolExecutor(JOBS) as pool:
        return 0 if all(list(pool.map(one, found))) else 1

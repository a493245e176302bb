"""The root file system that every machine starts from, built once with mmdebstrap and kept."""

import glob
import hashlib
import os
import re
import shutil
import subprocess

from . import host
from .errors import LabError
from .record import CACHE, lock

# What a Debian machine of a household has, then what p2prc's packages depend on, then what tests use.
BASE = """systemd systemd-sysv dbus polkitd iproute2 procps init-system-helpers apt ca-certificates less kmod
    systemd-resolved libnss-resolve libnss-myhostname openssh-server openssh-client bash-completion"""
DEPENDENCIES = {
    "bookworm": "libfmt9 libldns3 libc-ares2 libsqlite3-0 libsystemd0 libssl3 libstdc++6 libtomlplusplus3 uacme",
    "trixie": "libfmt10 libldns3t64 libcares2 libsqlite3-0 libsystemd0 libssl3t64 libstdc++6 libtomlplusplus3t64 uacme",
}
TOOLS = """curl openssl bind9-dnsutils pebble unbound radicale netcat-openbsd strace sqlite3 libfaketime jq iputils-ping
    python3 python3-dbus python3-dnspython libglib2.0-bin nftables tcpdump"""
# Servers that come with the tools and are started by the tests that want them.
OFF = ["unbound", "radicale", "unbound-resolvconf"]

VERSION = "1"
# The Debian release of all machines.
SUITE = os.environ.get("P2PRC_LAB_SUITE", "bookworm")


def packages():
    if SUITE not in DEPENDENCIES:
        raise LabError(f"P2PRC_LAB_SUITE={SUITE}: the lab has machines of {' or '.join(DEPENDENCIES)}")
    return sorted(set(" ".join((BASE, DEPENDENCIES[SUITE], TOOLS)).split()))


def kind():
    return "image" if SUITE == "bookworm" else f"image_{SUITE}"


def path():
    digest = hashlib.sha256(" ".join([VERSION] + packages()).encode()).hexdigest()[:12]
    return f"{CACHE}/{kind()}-{digest}"


def ensure(say):
    """The image's directory; builds it where there is none yet, which takes about 40 seconds and the Debian archive."""
    target = path()
    if os.path.isdir(target):
        return target
    os.makedirs(CACHE, exist_ok=True)
    with lock("image"):
        if not os.path.isdir(target):
            say("building the machines' root file system (once)")
            for old in os.listdir(CACHE):
                if old.startswith(f"{kind()}-"):
                    shutil.rmtree(f"{CACHE}/{old}", ignore_errors=True)
            _build(target)
    return target


def archive(names):
    """The .deb files of Debian packages, and of what they need beyond the image; fetched from the Debian archive once."""
    wanted = hashlib.sha256(" ".join([path(), *names]).encode()).hexdigest()[:12]
    target = f"{CACHE}/packages-{wanted}"
    with lock("packages"):
        if not os.path.isdir(target):
            plan = host.call("apt-get", "--simulate", "--no-install-recommends", "-o", f"Dir::State::status={path()}/var/lib/dpkg/status",
                             "install", *names)
            building = f"{target}.building"
            shutil.rmtree(building, ignore_errors=True)
            os.makedirs(building)
            done = subprocess.run(["apt-get", "download", "-q", *re.findall(r"^Inst (\S+)", plan, re.M)], cwd=building, capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL)
            if done.returncode != 0:
                raise LabError("apt-get download failed; it needs the Debian archive:\n" + done.stderr[-3000:])
            os.rename(building, target)
    return sorted(glob.glob(f"{target}/*.deb"))


def _build(target):
    building = target.replace(f"{kind()}-", f"{kind()}-building-")
    command = [
        "mmdebstrap", "--variant=minbase", "--aptopt=Acquire::Languages none", "--aptopt=Apt::Install-Recommends false",
        "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--include=" + ",".join(packages()),
        f"--customize-hook=systemctl --root=$1 --quiet disable {' '.join(OFF)}",
        "--customize-hook=rm -f $1/etc/machine-id $1/var/lib/dbus/machine-id $1/etc/hostname",
        "--customize-hook=rm -f $1/etc/resolv.conf",
        "--customize-hook=ln -s ../run/systemd/resolve/stub-resolv.conf $1/etc/resolv.conf",
        # A journal that is on disk survives the power cuts of the tests.
        "--customize-hook=mkdir -p $1/var/log/journal",
        SUITE, building]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        shutil.rmtree(building, ignore_errors=True)
        raise LabError("mmdebstrap failed; it needs the Debian archive:\n" + done.stderr[-3000:])
    os.rename(building, target)

"""One machine: Debian with systemd as PID 1 in a container, its disk, its power button and its cable."""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading

from . import host
from .errors import LabError
from .record import CACHE
from .wait import PATIENCE, wait_until

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb"}
DAEMONS = ("p2prcd", "p2prc-edge", "p2prc-connector")


@dataclasses.dataclass
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self):
        """Its standard output as JSON."""
        try:
            return json.loads(self.out)
        except json.JSONDecodeError as error:
            raise LabError(f"not JSON ({error}): {self.out[:500]!r}; standard error: {self.err[:500]!r}") from None


class Machine:
    """A machine by the name of its place in the house. It keeps its disk until the lab ends, through any number of boots."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.directory = f"{CACHE}/runs/{lab.record.run}/{name}"
        self.root = f"{self.directory}/root"
        self.cgroups = []
        self.nspawn = None
        self.leader = None

    # --- power

    def create(self):
        """Makes its disk: the image, and an own layer for what the machine changes."""
        for part in ("upper", "work", "root"):
            os.makedirs(f"{self.directory}/{part}", mode=0o755)
        self.lab.record.add("mounts", self.root)
        options = f"lowerdir={self.lab.image},upperdir={self.directory}/upper,workdir={self.directory}/work"
        try:
            host.call("mount", "-t", "overlay", "overlay", "-o", options, self.root)
        except LabError:
            # The cache is itself on an overlay, which cannot carry another: a copy, then.
            host.call("cp", "-a", "--reflink=auto", f"{self.lab.image}/.", self.root)
        identity = hashlib.sha256(f"{self.lab.record.run}/{self.name}".encode()).hexdigest()[:32]
        self._place("etc/machine-id", identity + "\n")
        self._place("etc/hostname", self.name + "\n")
        self._place("etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n::1 localhost\n")
        # Power cuts here lose nothing that was written, so dpkg need not wait for the disk after each file.
        self._place("etc/dpkg/dpkg.cfg.d/lab", "force-unsafe-io\n")
        self._place("etc/systemd/resolved.conf.d/lab.conf", f"[Resolve]\nDNS={self.lab.resolver}\nFallbackDNS=\n")
        self._make_cgroup()

    def boot(self, wait=True):
        """Switches it on; with `wait`, returns when systemd has finished booting."""
        if self.running():
            return self
        namespace = self.lab.network.namespace(self.name)
        command = [
            "systemd-nspawn", "--quiet", "--directory", self.root, "--machine", f"{self.lab.record.run}-{self.name}", "--hostname", self.name,
            "--boot", "--register=no", "--keep-unit", f"--network-namespace-path=/run/netns/{namespace}", "--console=pipe",
            "--resolv-conf=off", "--timezone=off", "--link-journal=no",
            # What a real machine has: its PID 1 may attach BPF programs to control groups, from a file system of its own.
            "--system-call-filter=bpf", "--capability=CAP_BPF,CAP_NET_ADMIN", f"--bind={self._fresh_bpffs()}:/sys/fs/bpf"]
        with open(f"{self.directory}/console.log", "ab") as console:
            # Its own control groups: two machines that share a parent would each take the other's for its own.
            self.nspawn = subprocess.Popen(
                ["sh", "-c", 'for group in $CGROUPS; do echo $$ >"$group/cgroup.procs" || exit; done; unset CGROUPS; exec "$@"', "sh", *command],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
                env={**ENVIRONMENT, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "CGROUPS": " ".join(self.cgroups)})
        self.lab.record.add("processes", host.process(self.nspawn.pid))
        self.leader = host.process(wait_until(self._find_leader, 20, f"{self.name} to start ({self.directory}/console.log)"))
        self.lab.record.add("processes", self.leader)
        self.lab.record.on(self.name, {"leader": self.leader, "nspawn": host.process(self.nspawn.pid)})
        if wait:
            self.wait_booted()
        return self

    def wait_booted(self, timeout=60):
        """Returns when systemd says that booting is over, whether or not a unit failed."""
        wait_until(lambda: self.running() and os.path.exists(f"/proc/{self.leader[0]}/root/run/systemd/private"), timeout, f"{self.name} to boot")

        def finished():
            state = self.run(["systemctl", "is-system-running", "--wait"], check=False, timeout=timeout).out.strip()
            return state if state in ("running", "degraded") else None
        return wait_until(finished, timeout, f"{self.name} to finish booting")

    def running(self):
        return self.leader is not None and host.alive(self.leader)

    def power_cut(self):
        """Every process is gone at once. What the kernel had not yet written stays readable: this says nothing about fsync."""
        self.thaw()
        host.kill(self.leader)
        self._wait_off(20)

    def power_off(self):
        """A clean shutdown by the power button."""
        host.kill(self.leader, signal.SIGRTMIN + 4)
        self._wait_off(90)

    def reboot(self):
        """A clean reboot."""
        host.kill(self.leader, signal.SIGRTMIN + 5)
        self._wait_off(90)
        return self.boot()

    # --- suspend, cable, clock

    def suspend(self):
        """Nothing on it runs any more until resume(). Its monotonic clock goes on, which a real suspended machine's does not."""
        self._freeze("FROZEN", "1")

    def resume(self):
        self._freeze("THAWED", "0")

    thaw = resume

    def link_down(self):
        """Pulls the network cable."""
        self.lab.network.cable(self.name, False)

    def link_up(self):
        self.lab.network.cable(self.name, True)

    def change_address(self, octet):
        """Another address in the same network, given as the last octet."""
        self.lab.network.readdress(self.name, octet)

    def set_clock(self, offset):
        """Sets the wall clock of p2prc's programs wrong by `offset`, e.g. "+400d" or "-3y"; None sets it right.

        One kernel has one wall clock, so the programs are deceived (libfaketime) and restarted; PID 1 and others are not.
        """
        library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
        if os.uname().machine != "x86_64":
            library = library.replace("x86_64", os.uname().machine)
        for unit in DAEMONS:
            path = f"/etc/systemd/system/{unit}.service.d/clock.conf"
            if offset is None:
                self.run(["rm", "-f", path])
            else:
                self.write(path, f"[Service]\nEnvironment=LD_PRELOAD={library} FAKETIME={offset} FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1\n")
        self.run("systemctl daemon-reload")
        self.run(["systemctl", "try-restart", *(f"{unit}.service" for unit in DAEMONS)], check=False)

    @property
    def address(self):
        """The IPv4 address it started with."""
        return self.lab.network.address(self.name)

    # --- doing things on it

    def run(self, command, check=True, timeout=60, user=None, input=None, env=None):
        """Runs a command on it: a list, or a string for sh. Fails with its output unless it succeeds or `check` is off."""
        timeout *= PATIENCE
        shown = command if isinstance(command, str) else " ".join(command)
        with self.popen(command, user=user, env=env, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace") as process:
            try:
                out, err = process.communicate(input, timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                raise LabError(f"{self.name}: {shown}: not done after {timeout:g} s; printed: {out[-2000:]}{err[-2000:]}") from None
        if check and process.returncode != 0:
            raise LabError(f"{self.name}: {shown}: exit status {process.returncode}: {(err.strip() + chr(10) + out.strip()).strip()[-4000:]}")
        return Result(process.returncode, out, err)

    def popen(self, command, user=None, env=None, **options):
        """Starts a command on it in a process group of its own; the caller ends it (os.killpg)."""
        if isinstance(command, str):
            command = ["sh", "-c", command]
        if user:
            command = ["runuser", "-u", user, "--", *command]
        return subprocess.Popen([*self.enter(), *command], env={**ENVIRONMENT, **(env or {})}, start_new_session=True, **options)

    def enter(self):
        """The command line that puts what follows it onto the machine."""
        if not self.running():
            raise LabError(f"{self.name} is off")
        # Not into its root by itself: --all takes mount and root together from the leader.
        return ["nsenter", "--target", str(self.leader[0]), "--all", "--"]

    def ok(self, command, **options):
        """Whether the command succeeds."""
        return self.run(command, check=False, **options).code == 0

    def p2prc(self, *arguments, **options):
        """Runs the p2prc command."""
        return self.run(["p2prc", *arguments], **options)

    def json(self, *arguments, **options):
        """What `p2prc ARGUMENTS -o json` prints, decoded. That something is down is an answer of status and doctor, too."""
        if arguments[0] in ("status", "doctor"):
            options.setdefault("check", False)
        return self.p2prc(*arguments, "-o", "json", **options).json()

    def write(self, path, text, mode=0o644):
        """Writes a file; works also while it is off."""
        if not self.running():
            self._place(path.lstrip("/"), text, mode)
            return
        self.run(["sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"', "sh", path, f"{mode:o}"], input=text)

    def read(self, path):
        """Reads a file; works also while it is off."""
        if self.running():
            return self.run(["cat", path]).out
        with open(f"{self.root}/{path.lstrip('/')}", encoding="utf-8") as file:
            return file.read()

    def install(self, packages, command="install"):
        """Installs .deb files of the box as a user would, from a directory of the machine."""
        os.makedirs(f"{self.root}/var/cache/lab", exist_ok=True)
        names = []
        for package in packages:
            shutil.copy(package, f"{self.root}/var/cache/lab/")
            names.append(f"/var/cache/lab/{os.path.basename(package)}")
        return self.run(["apt-get", command, "-y", "-q", "--no-install-recommends", "--reinstall", *names], timeout=180, env={"DEBIAN_FRONTEND": "noninteractive"})

    def trust(self, certificate):
        """Puts a CA certificate (PEM) into the system's store."""
        name = hashlib.sha256(certificate.encode()).hexdigest()[:12]
        self.write(f"/usr/local/share/ca-certificates/{name}.crt", certificate)
        self.run("update-ca-certificates")

    def unit(self, name):
        """The properties of a unit, as systemctl show prints them."""
        lines = self.run(["systemctl", "show", name]).out.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def active(self, unit):
        return self.run(["systemctl", "is-active", "--quiet", unit], check=False).code == 0

    def journal(self, *arguments, lines=400):
        """The journal; of all boots, also while it is off."""
        command = ["journalctl", "--no-pager", "-o", "short-precise", "-n", str(lines), *arguments]
        if self.running():
            # A machine that hangs must not hang whoever asks why.
            return self.run(command, check=False, timeout=20).out
        return subprocess.run([*command, "-D", f"{self.root}/var/log/journal"], capture_output=True, text=True, errors="replace").stdout

    def console(self):
        with open(f"{self.directory}/console.log", encoding="utf-8", errors="replace") as file:
            return file.read()

    # --- inside

    def _place(self, path, text, mode=0o644):
        full = f"{self.root}/{path}"
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(full, mode)

    def _make_cgroup(self):
        """Control groups for this machine: in the v2 hierarchy wherever it is mounted, and in the v1 freezer where there is one."""
        self.cgroups = []
        unified = "/sys/fs/cgroup/unified" if os.path.isdir("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"
        for base in (unified, "/sys/fs/cgroup/freezer"):
            if not os.path.exists(f"{base}/cgroup.procs"):
                continue
            parent = f"{base}/p2prc-lab-{self.lab.record.run}"
            for group in (parent, f"{parent}/{self.name}"):
                self.lab.record.add("cgroups", group)
                os.makedirs(group, exist_ok=True)
            if os.path.exists(f"{base}/cgroup.controllers"):
                for group in (base, parent):
                    self._delegate(group)
            self.cgroups.append(f"{parent}/{self.name}")

    @staticmethod
    def _delegate(group):
        """Hands the controllers on; one that the box will not hand out (v1 has it, or real-time tasks are in the way) is done without."""
        with open(f"{group}/cgroup.controllers", encoding="ascii") as file:
            for controller in file.read().split():
                try:
                    with open(f"{group}/cgroup.subtree_control", "w", encoding="ascii") as control:
                        control.write(f"+{controller}")
                except OSError:
                    pass

    def _fresh_bpffs(self):
        """A BPF file system, empty as after every boot."""
        path = f"{self.directory}/bpf"
        os.makedirs(path, exist_ok=True)
        if os.path.ismount(path):
            host.call("umount", path)
        self.lab.record.add("mounts", path)
        host.call("mount", "-t", "bpf", "-o", "mode=0700,nosuid,nodev,noexec", "bpf", path)
        return path

    def _freeze(self, v1, v2):
        for group in self.cgroups:
            for file, value in (("freezer.state", v1), ("cgroup.freeze", v2)):
                if os.path.exists(f"{group}/{file}"):
                    with open(f"{group}/{file}", "w", encoding="ascii") as control:
                        control.write(value)

    def _find_leader(self):
        if self.nspawn.poll() is not None:
            raise LabError(f"systemd-nspawn ended: {self.console()[-1000:]}")
        for child in host.children(self.nspawn.pid):
            if host.namespace_pid(child) == 1:
                return child
        return None

    def _wait_off(self, timeout):
        if self.nspawn:
            try:
                self.nspawn.wait(timeout * PATIENCE)
            except subprocess.TimeoutExpired:
                raise LabError(f"{self.name} did not power off in {timeout} s: {self.console()[-1000:]}") from None
        named = self.lab.record.on(self.name, None)
        if named:
            wait_until(lambda: not any(host.alive(process) for process in named.values()), timeout, f"{self.name} to be off")
        self.leader = self.nspawn = None
        # No control group outlives a real machine, and with it the BPF programs for whatever runs there next.
        for group in self.cgroups:
            for directory, _, _ in os.walk(group, topdown=False):
                if directory != group:
                    with contextlib.suppress(OSError):
                        os.rmdir(directory)

    def attach(self, known):
        """Takes up a machine that another process of ours has made, and started if `known` names its processes."""
        self._make_cgroup()
        self.leader = known and known["leader"]
        return self


def together(machines, action):
    """Does the same with several machines at once; fails with the first error."""
    errors = []

    def work(machine):
        try:
            action(machine)
        except Exception as error:  # handed to the caller below
            errors.append(error)
    threads = [threading.Thread(target=work, args=(machine,)) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


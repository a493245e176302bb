"""Containers by podman, as processes: with images that umoci makes here, without the Internet."""

import concurrent.futures
import json

from lab import wait_until
from lab.household import deployers, https, info, main_pid, make_fleet, trust_fleet, wait_https, wait_state

MACHINES = ["root", "client", "acme", "home1", "home2"]

PODMAN = "/usr/libexec/p2prc/p2prc-podman"
STORE = "/var/lib/p2prc-deploy/.containers"
SLOW = "FROM oci-archive:/srv/x.tar\nRUN echo begun; sleep 1000000\n"

MAKE = r"""
set -e
mkdir -p /root/made /etc/containers && cd /root/made
# A machine of the lab is on overlayfs, which is no place for podman's own.
printf '[storage]\ndriver = "vfs"\ngraphroot = "/var/lib/containers/storage"\nrunroot = "/run/containers/storage"\n' >/etc/containers/storage.conf
umoci init --layout l && umoci new --image l:x && umoci unpack --image l:x b
r=b/rootfs; mkdir -p $r/bin $r/data $r/app $r/etc $r/tmp
cp /bin/busybox $r/bin/busybox
for name in sh cat id touch sleep mkdir httpd grep head ln rm; do ln -s busybox $r/bin/$name; done
cp /bin/busybox $r/bin/su; chmod 4755 $r/bin/su
echo 'root:x:0:0::/:/bin/sh' >$r/etc/passwd
echo seed >$r/data/index.html; cp $r/bin/su $r/data/su; chmod 4755 $r/data/su
chown -R 999:998 $r/data; chmod 0700 $r/data
printf '#!/bin/sh\ntrap "exit 0" TERM\necho "$GREETING from $PWD by $(id -u)"\nhttpd -f -p 127.0.0.1:$PORT -h ${1:-/data} &\nwait\n' >$r/app/start
chmod 0755 $r/app/start
umoci repack --image l:x b
umoci config --image l:x --config.entrypoint ./start --config.cmd /data --config.env GREETING=hello --config.workingdir /app --config.volume /data --config.volume /tmp/x
tar -cf /srv/x.tar -C l .
rm -rf /root/made
"""


def setup(lab):
    def prepare(machine):
        machine.install(lab.archive("podman", "crun", "umoci", "busybox-static"))
        machine.run(MAKE)
        # Whoever looks before anything is deployed does not keep the users of other deployers out.
        machine.run(f"{PODMAN} ps && test $(stat -c %a /var/lib/p2prc-deploy) = 755")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(prepare, (lab.home1, lab.home2)))


def spin(machine, name, script, run="", head="", node=None, check=True, strategy="container", timeout="5m"):
    machine.write(f"/root/{name}.toml", f'name = "{name}"\n{head}\n[deploy]\nstrategy = "{strategy}"\nscript = {json.dumps(script)}\n[run]\n{run}\n')
    return machine.p2prc("spin", f"/root/{name}.toml", "--timeout", timeout, *(["--node", node] if node else []), check=check, timeout=320)


def begin(machine, name, script):
    """Spins it and returns at once; what waits for it ends with the machine, or when it is killed."""
    machine.write(f"/root/{name}.toml", f'name = "{name}"\n[deploy]\nstrategy = "container"\nscript = {json.dumps(script)}\n')
    return machine.popen(["p2prc", "spin", f"/root/{name}.toml"])


def command(text):
    return f"command = {json.dumps(['/bin/sh', '-c', text])}\n"


def containers(machine):
    """What podman knows of ours, whether or not it runs, what a build has left among it."""
    return sorted(machine.run([PODMAN, "ps", "--all", "--external", "--format", "{{.Names}}"]).out.split())


def images(machine):
    return set(machine.run([PODMAN, "image", "ls", "--all", "--quiet", "--no-trunc"]).out.split())


def test_an_archive_is_served_through_the_edge(lab):
    make_fleet(lab, "home1", "home2")
    trust_fleet(lab, lab.client)
    spin(lab.home1, "wiki", "oci-archive:/srv/x.tar\n", head='port = 8500\ndomain = "wiki.home.example"')
    wait_https(lab.client, "wiki.home.example", "seed", timeout=60)
    assert "hello from /app by 0" in lab.home1.p2prc("logs", "wiki").out
    # What the image runs is known on every node.
    known = wait_until(lambda: info(lab.root, "wiki")["run_command"], 20, "the root to know its command")
    assert known == "/app/./start /data", known
    shown = lab.root.p2prc("info", "wiki").out
    assert ["deployer", "container"] in [line.split() for line in shown.splitlines()], shown
    data = "/var/lib/p2prc-data/wiki/data"
    assert lab.home1.run(f"stat -c '%u %g %a' {data} {data}/index.html").out.split() == ["999", "998", "700", "999", "998", "644"]
    assert lab.home1.run("find /var/lib/p2prc-data /var/lib/p2prc-deploy/wiki -type f -perm /6000").out == ""
    pid = main_pid(lab.home1, "wiki")
    assert lab.home1.run(f"cat /proc/{pid}/comm").out == "conmon\n"
    group = lab.home1.unit("p2prc-wiki.service")["ControlGroup"]
    assert "httpd" in lab.home1.run(f"for pid in $(cat /sys/fs/cgroup{group}/cgroup.procs); do cat /proc/$pid/comm; done").out
    assert containers(lab.home1) == ["p2prc-wiki"]
    # What people do with their own podman is no matter of ours.
    assert lab.home1.run(["podman", "ps", "--all", "--quiet"]).out == ""


def test_a_containerfile_is_built_updated_and_taken_back(lab):
    def containerfile(word, more=""):
        return f"# a comment\nFROM oci-archive:/srv/x.tar\nRUN mkdir /www && echo {word} >/www/index.html\nCMD [\"/www\"]\n{more}"
    head = 'port = 0\ndomain = "built.home.example"'
    spin(lab.home1, "built", containerfile("one"), head=head)
    wait_https(lab.client, "built.home.example", "one", timeout=60)
    lab.home1.run("echo kept >/var/lib/p2prc-data/built/data/kept")
    spin(lab.home1, "built", containerfile("two"), head=head)
    wait_https(lab.client, "built.home.example", "two", timeout=60)
    refused = spin(lab.home1, "built", containerfile("three", 'ENTRYPOINT ["/bin/sh", "-c", "echo broken; exit 3"]\n'), head=head, check=False)
    assert refused.code == 1 and "exit-code 3" in refused.err and "broken" in refused.err, refused
    wait_https(lab.client, "built.home.example", "two", timeout=60)
    lab.home1.p2prc("rollback", "built", "1", timeout=200)
    wait_https(lab.client, "built.home.example", "one", timeout=60)
    assert lab.home1.read("/var/lib/p2prc-data/built/data/kept") == "kept\n"
    assert containers(lab.home1) == ["p2prc-built", "p2prc-wiki"]


def test_what_the_file_says_of_it(lab):
    lab.home1.run("mkdir -p /etc/p2prc && echo secret >/etc/p2prc/word && chmod 0600 /etc/p2prc/word")
    head = 'port = 8600\n[ready]\ncommand = ["/bin/grep", "-q", "secret", "/tmp/ready"]\n[limits]\ntasks = 50'
    run = command("cat $CREDENTIALS_DIRECTORY/word >/tmp/ready; echo \"$A\" >$STATE_DIRECTORY/a; trap 'exit 0' TERM; sleep 1000000 & wait")
    spin(lab.home1, "told", "oci-archive:/srv/x.tar", head=head, run=run + 'environment = { A = "b $c\\n\\"d\\"" }\ncredentials = { word = "/etc/p2prc/word" }')
    assert lab.home1.read("/var/lib/p2prc-data/told/a") == 'b $c\n"d"\n'
    assert lab.home1.unit("p2prc-told.service")["TasksMax"] == "50"
    lab.home1.p2prc("kill", "told")
    for name, run, words in (("user", 'user = "daemon"', "run.user: is not for a container"), ("end", 'kill = ["/bin/true"]', "run.kill: is not for a container")):
        refused = spin(lab.home1, name, "oci-archive:/srv/x.tar", run=run, check=False)
        assert refused.code == 7 and words in refused.err, refused
    refused = spin(lab.home1, "empty", "oci-archive:/srv/x.tar", run="data = false", check=False)
    assert refused.code == 1 and "deploy-failed at result" in refused.err and "VOLUME data is kept in the process's data" in refused.err, refused
    lab.home1.p2prc("kill", "empty")


def test_how_it_ends(lab):
    refused = spin(lab.home1, "seven", "oci-archive:/srv/x.tar", run=command("echo almost; exit 7") + 'restart = "no"', check=False)
    assert refused.code == 1 and "exit-code 7" in refused.err and "almost" in refused.err, refused
    lab.home1.p2prc("kill", "seven")
    # A process 1 that handles no signal ignores those from within: kill(2), pid_namespaces(7).
    spin(lab.home1, "deaf", "oci-archive:/srv/x.tar", run=command("trap '' TERM; while :; do sleep 1; done"))
    lab.home1.run("systemctl kill -s KILL p2prc-deaf.service")
    wait_until(lambda: info(lab.home1, "deaf")["restarts"] == 1 and info(lab.home1, "deaf")["ready"], 60, "deaf to run again")
    lab.home1.p2prc("stop", "deaf", timeout=120)
    reason = info(lab.home1, "deaf")["reason"]
    assert reason["kind"] == "stopped" and "137" in reason["detail"], reason
    assert containers(lab.home1) == ["p2prc-built", "p2prc-wiki"]
    lab.home1.p2prc("kill", "deaf")
    lab.home1.p2prc("restart", "wiki", timeout=120)
    assert info(lab.home1, "wiki")["reason"]["detail"] is None


def test_a_build_that_is_cancelled_or_fails(lab):
    spinning = begin(lab.home1, "slow", SLOW)
    wait_until(lambda: lab.home1.ok("pgrep -x sleep -a | grep -q 1000000"), 60, "the build to run")
    lab.home1.p2prc("kill", "slow", timeout=120)
    spinning.wait(timeout=60)
    assert not lab.home1.ok("pgrep -x sleep -a | grep -q 1000000")
    refused = spin(lab.home1, "wrong", "FROM oci-archive:/srv/x.tar\nRUN echo because >&2; exit 4\n", check=False)
    assert refused.code == 1 and "deploy-failed at exit 1" in refused.err and "because" in refused.err, refused
    lab.home1.p2prc("kill", "wrong")
    for name, script, words in (("dir", "dir:/etc", "is neither docker://NAME"), ("more", "oci-archive:/srv/x.tar\necho", "the script is one reference"),
                                ("gone", "oci-archive:/srv/none.tar", "no such file")):
        refused = spin(lab.home1, name, script, check=False)
        assert refused.code == 1 and "deploy-failed at exit 1" in refused.err and words in refused.err, refused
        lab.home1.p2prc("kill", name)
    # A registry that is away.
    spinning = begin(lab.home1, "later", "docker://127.0.0.1:1/x:1")
    wait_until(lambda: "not now" in lab.home1.p2prc("info", "later").out, 60, "the deployer to say that it is not now")
    lab.home1.p2prc("kill", "later", timeout=60)
    spinning.wait(timeout=60)
    assert containers(lab.home1) == ["p2prc-built", "p2prc-wiki"]


def test_over_a_crash_and_power_cuts(lab):
    pid = main_pid(lab.home1, "wiki")
    lab.home1.run("systemctl kill -s KILL p2prcd")
    wait_until(lambda: info(lab.home1, "wiki")["ready"], 60, "p2prcd to know it again")
    assert main_pid(lab.home1, "wiki") == pid
    # Cut in a build; and one of the processes is killed while its machine is off.
    spinning = begin(lab.home1, "slow", SLOW)
    wait_until(lambda: lab.home1.ok("pgrep -x sleep -a | grep -q 1000000"), 60, "the build to run")
    lab.home1.power_cut()
    spinning.wait(timeout=60)
    lab.root.p2prc("kill", "built", check=False, timeout=60)  # which waits for its end as long as the node is there
    lab.home1.boot()
    wait_https(lab.client, "wiki.home.example", "seed", timeout=90)
    wait_until(lambda: lab.home1.ok("pgrep -x sleep -a | grep -q 1000000"), 90, "the build to run again")
    lab.home1.p2prc("kill", "slow", timeout=120)
    wait_until(lambda: "p2prc-built" not in containers(lab.home1), 90, "what the power cut has left to go")
    # What builds leave goes with the next one.
    spin(lab.home1, "next", "FROM oci-archive:/srv/x.tar\nRUN echo x >/x\n", head="port = 0")
    assert containers(lab.home1) == ["p2prc-next", "p2prc-wiki"]
    lab.home1.p2prc("kill", "next")


def test_hostile_results_and_data(lab):
    image = images(lab.home1).pop().removeprefix("sha256:")
    refused = spin(lab.home1, "script", f"echo CONTAINER={image} >.p2prc", strategy="script", check=False)
    assert refused.code == 1 and "CONTAINER is for deployers that run as root" in refused.err, refused
    lab.home1.run("mkdir -p /etc/p2prc/deployers && printf '#!/bin/sh\\ncat >$DEPLOY/.p2prc\\n' >/etc/p2prc/deployers/says && chmod 0755 /etc/p2prc/deployers /etc/p2prc/deployers/says")
    lab.home1.write("/etc/p2prc/deployers/says.toml", 'as = "root"\n')
    for name, text, words in (("short", "CONTAINER=alpine", "is not the id of an image"), ("option", "CONTAINER=--privileged", "is not the id of an image"),
                              ("both", f"CONTAINER={image}\nROOT=x", "is not for a CONTAINER"), ("colon", f"CONTAINER={image}\nVOLUME=a:b", "has no ':'"),
                              ("out", f"CONTAINER={image}\nVOLUME=../etc", "leads out of the directory")):
        refused = spin(lab.home1, name, text, strategy="says", run=command("sleep 1000000"), check=False)
        assert refused.code == 1 and "deploy-failed at result" in refused.err and words in refused.err, refused
        lab.home1.p2prc("kill", name)
    # A container may write to its data, but has nothing of the machine mounted by it.
    lab.home1.p2prc("stop", "wiki", timeout=60)
    lab.home1.run("cd /var/lib/p2prc-data/wiki && mv data away && ln -s /etc data")
    refused = lab.home1.p2prc("start", "wiki", check=False, timeout=120)
    assert refused.code == 1 and "could not be made" in refused.err, refused
    lab.home1.run("cd /var/lib/p2prc-data/wiki && rm data && mv away data")
    lab.home1.p2prc("start", "wiki", timeout=120)
    assert https(lab.client, "wiki.home.example") == "seed\n"
    # systemd starts it again by itself: what it has changed before it ended is not mounted either.
    lab.home1.run("cd /var/lib/p2prc-data/wiki && mv data away && ln -s /etc data && systemctl kill -s KILL p2prc-wiki.service")
    wait_until(lambda: "the volume data is not mounted" in lab.home1.journal("-u", "p2prc-wiki.service"), 60, "its start to be refused")
    assert containers(lab.home1).count("p2prc-wiki") == 0
    lab.home1.run("cd /var/lib/p2prc-data/wiki && rm data && mv away data")
    lab.home1.p2prc("restart", "wiki", timeout=120)
    assert https(lab.client, "wiki.home.example") == "seed\n"


def test_hostile_images(lab):
    """What an image says of itself becomes no program and no place of this machine."""
    for name, option, words in (("program", "workingdir='a:;e touch /run/owned #'", "characters that cannot be used"),
                                ("place", "volume=/../../../../../../../../run/owned", "is no plain path")):
        lab.home1.run(f"rm -rf /root/evil && mkdir /root/evil && tar -x -C /root/evil -f /srv/x.tar && "
                      f"umoci config --image /root/evil:x --config.{option} && tar -cf /srv/{name}.tar -C /root/evil .")
        refused = spin(lab.home1, name, f"oci-archive:/srv/{name}.tar", check=False)
        assert refused.code == 1 and "deploy-failed at exit 1" in refused.err and words in refused.err, refused
        assert not lab.home1.ok("test -e /run/owned")
        lab.home1.p2prc("kill", name)
    # A build sees no process of the machine.
    spin(lab.home1, "build", "FROM oci-archive:/srv/x.tar\nRUN echo /proc/[0-9]* >/app/seen\n", head="port = 8533")
    seen = lab.home1.run([PODMAN, "exec", "p2prc-build", "cat", "/app/seen"]).out.split()
    assert 0 < len(seen) < 20, seen
    lab.home1.p2prc("kill", "build", timeout=60)


def test_images_that_nobody_uses_go(lab):
    # An image of somebody else, in podman's own store.
    theirs = lab.home1.run(["podman", "pull", "--quiet", "oci-archive:/srv/x.tar"]).out
    used = lab.home1.run([PODMAN, "inspect", "--format", "{{.Image}}", "p2prc-wiki"]).out.strip()
    assert len(images(lab.home1)) > 1
    lab.home1.p2prc("deploy", "--clean", timeout=120)
    left = lab.home1.run([PODMAN, "image", "ls", "--all"]).out
    assert images(lab.home1) == {f"sha256:{used}"}, left
    lab.home1.p2prc("restart", "wiki", timeout=120)
    lab.home1.p2prc("kill", "wiki", timeout=60)
    removed = json.loads(lab.home1.p2prc("deploy", "--clean", "-o", "json", timeout=120).out)
    assert removed["bytes"] > 1_000_000, removed
    assert images(lab.home1) == set() and containers(lab.home1) == []
    assert lab.home1.run(["podman", "image", "ls", "--quiet", "--no-trunc"]).out.strip().removeprefix("sha256:") == theirs.strip()


def test_out_of_disk(lab):
    lab.home2.run(f"mkdir -p {STORE} && mount -t tmpfs -o size=48m,mode=0700 none {STORE}")
    refused = spin(lab.home2, "large", "FROM oci-archive:/srv/x.tar\nRUN head -c 80000000 /dev/zero >/large\n", check=False)
    assert refused.code == 1 and "deploy-failed at exit 1" in refused.err and "o space left" in refused.err, refused
    lab.home2.p2prc("kill", "large")
    assert containers(lab.home2) == []
    spin(lab.home2, "small", "oci-archive:/srv/x.tar", head="port = 8500")
    assert containers(lab.home2) == ["p2prc-small"]
    lab.home2.p2prc("kill", "small")


def test_policies_of_other_nodes(lab):
    script = "FROM oci-archive:/srv/x.tar\n"
    wait_until(lambda: "container" in deployers(lab.home1, "home2"), 60, "home2 to tell of its deployers")
    refused = spin(lab.home1, "distant", script, head="port = 0", node="home2", check=False)
    assert refused.code != 0 and "the deployer 'container', which runs as root" in refused.err and 'spin = "any" below [remote]' in refused.err, refused

    def set_policy(policy, admitted, others=True):
        lab.home2.write("/etc/p2prc/p2prcd.toml.d/remote.toml", f"[remote]\n{policy}\n")
        lab.home2.run("systemctl reload p2prcd")
        wait_until(lambda: [deployers(lab.home1, "home2")[name]["admitted"] for name in ("container", "script")] == [admitted, others],
                   60, "home2 to tell of its settings")
    # It is no builder, which could be admitted by itself.
    set_policy('deployers = ["container"]', False)
    refused = spin(lab.home1, "distant", script, head="port = 0", node="home2", check=False)
    assert refused.code != 0 and "which runs as root" in refused.err, refused
    set_policy('spin = "no"', False, others=False)
    refused = spin(lab.home1, "distant", script, head="port = 0", node="home2", check=False)
    assert refused.code != 0 and "runs no processes for other nodes" in refused.err, refused
    set_policy('spin = "any"', True)
    for name, archive in (("archive", "oci-archive:/srv/x.tar"), ("from", script), ("argument", "ARG BASE=oci-archive:/srv/x.tar\nFROM $BASE\n"),
                          ("copy", "FROM scratch\nCOPY --from=oci-archive:/srv/x.tar /bin /bin\n")):
        refused = spin(lab.home1, name, archive, node="home2", check=False)
        assert refused.code == 1 and "for processes that are spun on its machine" in refused.err, refused
        lab.home1.p2prc("kill", name, timeout=60)
    # What it is built on is on that machine already.
    spin(lab.home2, "base", "oci-archive:/srv/x.tar", head="port = 0")
    image = lab.home2.run([PODMAN, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]).out.split()[0]
    lab.home2.p2prc("kill", "base", timeout=60)
    script = f"FROM {image}\nLABEL of=dir:/srv\n"  # which is no archive
    spin(lab.home1, "distant", script, head='port = 0\ndomain = "distant.home.example"', node="home2")
    wait_https(lab.client, "distant.home.example", "seed", timeout=60)
    # Consent that is taken back counts from the next start on.
    set_policy('spin = "sandboxed"', False)
    lab.home1.p2prc("stop", "distant", timeout=60)
    refused = lab.home1.p2prc("start", "distant", check=False, timeout=60)
    assert refused.code != 0 and wait_state(lab.home1, "distant", "failed")["reason"]["kind"] == "start-failed", refused
    assert containers(lab.home2) == []

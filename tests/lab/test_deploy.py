"""Deployers: what prepares a process before it starts, on real machines."""

import json
import subprocess

from lab import wait_until
from lab.errors import LabError
from lab.household import deployers, info, join, make_root, spin, wait_reason, wait_state

MACHINES = ["root", "home1", "home2"]

SLEEP = ["/bin/sleep", "infinity"]


def deployer(machine, name, program, settings=None):
    """A deployer of the administrator's own."""
    path = f"/etc/p2prc/deployers/{name}"
    machine.write(path, program)
    machine.run(f"chmod 0755 /etc/p2prc/deployers {path}")
    if settings:
        machine.write(f"{path}.toml", settings)


def text_of(name, script, strategy="script", command=SLEEP, **keys):
    lines = [f'name = "{name}"'] + [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    lines += ["[deploy]", f'strategy = "{strategy}"', f"script = {json.dumps(script)}"]
    if command:
        lines += ["[run]", f"command = {json.dumps(command)}"]
    return "\n".join(lines) + "\n"


def write(machine, name, script, **options):
    machine.write(f"/root/{name}.toml", text_of(name, script, **options))
    return f"/root/{name}.toml"


def deploy(machine, name, script, node=None, check=True, **options):
    path = write(machine, name, script, **options)
    return machine.p2prc("spin", path, *(["--node", node] if node else []), check=check, timeout=120)


def begin(machine, name, script, popen=None, **options):
    """Spins it beside the test."""
    return machine.popen(["p2prc", "spin", write(machine, name, script, **options), "--timeout", "3m"], **(popen or {}))


def wait_words(machine, name, words):
    """Waits until it is being deployed and says so."""
    def seen():
        known = info(machine, name)
        if known["state"] != "deploying" or words not in (known["waits_for"] or ""):
            raise LabError(f"{name} is {known['state']}, waits for {known['waits_for']}, reason {known['reason']}")
        return known
    return wait_until(seen, 60, f"{name} to be deployed and to say {words!r}")


def fails(machine, name, script, step, words="", **options):
    """Its deployer fails: the spin does, and says why; nothing runs and nothing is left."""
    spun = deploy(machine, name, script, check=False, **options)
    assert spun.code == 1 and f"deploy-failed at {step}" in spun.err and words in spun.err, (spun.out, spun.err)
    known = info(machine, name)
    assert known["state"] == "failed" and known["reason"]["kind"] == "deploy-failed" and known["reason"]["step"] == step, known
    nothing_is_left(machine, name)
    return known["reason"]


def nothing_is_left(machine, name):
    assert not machine.active(f"p2prcd-deploy-{name}.service") and not machine.active(f"p2prc-{name}.service")
    left = machine.run(f"ls -A /var/lib/p2prc-deploy/{name} /var/lib/private/p2prc-deploy/{name} 2>/dev/null", check=False).out.split()
    assert [line for line in left if not line.endswith(":")] == [], left


def runs_of(machine, name):
    """How often its script was run: each run of the scripts below adds a line to its data."""
    return machine.run(f"cat /var/lib/p2prc-data/{name}/runs 2>/dev/null | wc -l", check=False).out.strip()


COUNT = 'echo run >>"$STATE_DIRECTORY/runs"\n'


# --- the script deployer

def test_a_script_prepares_data_and_files(lab):
    script = COUNT + """
test "$PWD" = "$DEPLOY" && test -z "$(ls -A)" && test "$P2PRC_API" = 1 && test "$P2PRC_NAME" = shop
test "$(id -u)" = "$(stat -L -c %u "$STATE_DIRECTORY")" && test -d "$CACHE_DIRECTORY" && test "$PORT" = 8401
mkdir bin && printf '#!/bin/sh\\necho "it says $GREETING in $PWD with $DEPLOY" >"$STATE_DIRECTORY/said"\\nexec sleep infinity\\n' >bin/x
chmod +x bin/x
echo "schema is made"
printf 'ENV.GREETING=hello\\nENV.PATH=/usr/bin:/bin\\nWORKDIR=bin\\n' >.p2prc
"""
    path = write(lab.home1, "shop", script, command=["/run/p2prc-deploy/bin/x"], port=8401)
    lab.home1.p2prc("spin", path, "--no-wait", timeout=120)
    wait_until(lambda: info(lab.home1, "shop")["status"], 60, "shop to run")
    said = wait_until(lambda: lab.home1.run("cat /var/lib/p2prc-data/shop/said", check=False).out.strip(), 30, "shop to say something")
    assert said == "it says hello in /run/p2prc-deploy/bin with /run/p2prc-deploy", said
    assert runs_of(lab.home1, "shop") == "1"
    pid = lab.home1.unit("p2prc-shop.service")["MainPID"]
    assert lab.home1.run(["nsenter", "-t", pid, "-m", "touch", "/run/p2prc-deploy/x"], check=False).code != 0
    assert info(lab.home1, "shop")["deployment"]["strategy"] == "script"
    lines = lab.home1.p2prc("logs", "shop", "--deploy").out
    assert "schema is made" in lines, lines


def test_it_is_deployed_once(lab):
    lab.home1.p2prc("restart", "shop", "--no-wait")
    wait_until(lambda: info(lab.home1, "shop")["status"], 60, "shop to run again")
    lab.home1.run("systemctl restart p2prcd")
    wait_until(lambda: info(lab.home1, "shop")["status"], 60, "shop to be known")
    lab.home1.reboot()
    wait_until(lambda: info(lab.home1, "shop")["status"], 90, "shop to run after a boot")
    assert runs_of(lab.home1, "shop") == "1"


def test_a_script_that_fails(lab):
    reason = fails(lab.home1, "broken", COUNT + "echo no such table; echo half >part; exit 3", "exit 3", "no such table")
    assert reason["log"][-1] == "no such table", reason
    lab.home1.reboot()
    wait_state(lab.home1, "broken", "failed", 60)
    assert runs_of(lab.home1, "broken") == "1"
    assert lab.home1.p2prc("start", "broken", check=False, timeout=120).code == 1
    assert runs_of(lab.home1, "broken") == "2"


def test_not_now_is_tried_again(lab):
    spinning = begin(lab.home1, "later", "test -e /run/lock/mirror-is-up || { echo the mirror is away; exit 75; }",
                     popen={"stderr": subprocess.PIPE, "text": True})
    wait_words(lab.home1, "later", "not now: the mirror is away; it is tried again after 30s")
    lab.home1.run("touch /run/lock/mirror-is-up")
    _, said = spinning.communicate(timeout=120)
    assert spinning.returncode == 0
    assert said.count("'later' is deploying: ") >= 1 and said.count("not now: the mirror is away") == 1, said
    assert info(lab.home1, "later")["state"] == "running"


def test_a_stop_ends_it(lab):
    spinning = begin(lab.home1, "slow", "echo x >part; sleep 600 & sleep 600")
    wait_words(lab.home1, "slow", "the deployer 'script' prepares it")
    wait_until(lambda: lab.home1.active("p2prcd-deploy-slow.service") or "activating" in lab.home1.unit("p2prcd-deploy-slow.service")["ActiveState"],
               30, "its unit to run")
    lab.home1.p2prc("stop", "slow")
    assert spinning.wait(timeout=60) != 0
    assert info(lab.home1, "slow")["reason"]["kind"] == "stopped"
    nothing_is_left(lab.home1, "slow")
    assert lab.home1.run(["pgrep", "-f", "sleep 600"], check=False).out == ""
    lab.home1.p2prc("kill", "slow")


def test_a_kill_ends_it(lab):
    spinning = begin(lab.home1, "slower", "sleep 600")
    wait_words(lab.home1, "slower", "prepares it")
    lab.home1.p2prc("kill", "slower")
    assert spinning.wait(timeout=60) != 0
    nothing_is_left(lab.home1, "slower")
    assert lab.home1.p2prc("info", "slower", check=False).code == 3


def test_two_at_a_time(lab):
    wait = "while ! test -e /run/lock/go; do sleep 0.2; done"
    spinning = [begin(lab.home1, "first", wait), begin(lab.home1, "second", wait)]
    for name in ("first", "second"):
        wait_words(lab.home1, name, "prepares it")
    spinning.append(begin(lab.home1, "third", wait))
    wait_words(lab.home1, "third", "it waits for first, second, which are being deployed")
    lab.home1.run("touch /run/lock/go")
    assert [one.wait(timeout=120) for one in spinning] == [0, 0, 0]


def test_a_power_cut_begins_it_anew(lab):
    spinning = begin(lab.home1, "cut", COUNT + "test -z \"$(ls -A)\"; touch half; test -e \"$STATE_DIRECTORY/go\" || sleep 600")
    wait_until(lambda: runs_of(lab.home1, "cut") == "1", 60, "its script to run")
    lab.home1.power_cut()
    spinning.wait(timeout=60)
    lab.home1.boot()  # which is over although the deployer runs
    wait_until(lambda: runs_of(lab.home1, "cut") == "2", 90, "its script to run again")
    lab.home1.run("systemctl kill -s KILL p2prcd")
    wait_until(lambda: runs_of(lab.home1, "cut") == "3", 90, "its script to run again after p2prcd was killed")
    lab.home1.run("touch /var/lib/p2prc-data/cut/go")
    lab.home1.p2prc("restart", "cut", timeout=120)
    wait_state(lab.home1, "cut", "running", 60)
    assert runs_of(lab.home1, "cut") == "4"


# --- results that are not believed

def test_hostile_results(lab):
    for name, script, words in (
            ("evil1", "ln -s / out; echo DIR=out >.p2prc", "a link on its way"),
            ("evil2", "echo DIR=../.. >.p2prc", "leads out of the directory"),
            ("evil3", "echo DIR=/etc >.p2prc", "is an absolute path"),
            ("evil4", "echo SHELL=/bin/sh >.p2prc", "is not known"),
            ("evil5", "ln -s /etc/shadow .p2prc", "it is a link"),
            ("evil6", "mkfifo .p2prc", "is not a plain file"),
            ("evil7", "mkdir a; ln -s / a/b; printf 'DIR=a\\nWORKDIR=b\\n' >.p2prc", "a link on its way")):
        fails(lab.home1, name, script, "result", words)
    fails(lab.home1, "empty", "true", "result", "neither the process file nor the deployer says what to run", command=None)


def test_what_it_leaves_is_ended(lab):
    deploy(lab.home1, "left", "setsid sleep 987654 & sleep 0.2")
    assert lab.home1.run(["pgrep", "-f", "sleep 987654"], check=False).out == ""


# --- deployers of one's own

def test_three_lines_of_ones_own(lab):
    deployer(lab.home1, "copy", '#!/bin/sh -e\nmkdir out\ncp -r "$(cat)" out/bin\necho "DIR=out\nCOMMAND=[\\"/run/p2prc-deploy/bin/true-server\\"]" >.p2prc\n')
    lab.home1.write("/opt/tools/true-server", "#!/bin/sh\nexec sleep infinity\n")
    lab.home1.run("chmod -R a+rX,u+x /opt/tools && chmod a+x /opt/tools/true-server")
    deploy(lab.home1, "own", "/opt/tools", strategy="copy", command=None)
    assert info(lab.home1, "own")["state"] == "running"


def test_a_deployer_that_is_missing_or_unsafe(lab):
    deployer(lab.home1, "needy", "#!/bin/sh\n", 'needs = ["/usr/bin/not-there"]\n')
    deployer(lab.home1, "open", "#!/bin/sh\n")
    lab.home1.run("chmod 0777 /etc/p2prc/deployers/open")
    for strategy, words in (("nowhere", "this machine has no deployer 'nowhere'"), ("needy", "needs /usr/bin/not-there"),
                            ("open", "could be changed by others than root")):
        refused = deploy(lab.home1, strategy, "x", strategy=strategy, check=False)
        assert refused.code == 1 and words in refused.err, refused
        assert lab.home1.p2prc("info", strategy, check=False).code == 3
    # One that goes later is found out by its node.
    deployer(lab.home1, "leaving", "#!/bin/sh\nexit 3\n")
    fails(lab.home1, "orphan", "x", "exit 3", strategy="leaving")
    lab.home1.run("rm /etc/p2prc/deployers/leaving")
    lab.home1.p2prc("start", "orphan", check=False, timeout=120)
    assert info(lab.home1, "orphan")["reason"]["step"] == "missing"
    lab.home1.run("rm /etc/p2prc/deployers/open")


def test_its_time_is_bounded(lab):
    deployer(lab.home1, "short", "#!/bin/sh\nsleep 600\n", 'timeout = "2s"\n')
    fails(lab.home1, "long", "x", "timeout", "it took longer than 2s", strategy="short")


def test_a_disk_without_room(lab):
    # What runs already has its own view of the results.
    lab.home1.run("mount -t tmpfs -o size=1m,mode=0700 small /var/lib/private/p2prc-deploy")
    fails(lab.home1, "filled", "head -c 3000000 /dev/zero >big", "exit 1", "No space left on device")
    lab.home1.run("umount /var/lib/private/p2prc-deploy")
    lab.home1.p2prc("start", "filled", timeout=120)
    assert info(lab.home1, "filled")["state"] == "running"


def test_without_a_network(lab):
    deployer(lab.home1, "alone", '#!/bin/sh -e\ntest "$(ls /sys/class/net)" = lo || test "$(ip -o link | wc -l)" = 1\n', "network = false\n")
    deploy(lab.home1, "offline", "x", strategy="alone")


# --- anew, and what is left of the old

STAMP = COUNT + """
test ! -e /run/lock/broken || { echo it is broken; exit 4; }
date +%N >stamp; test -n "$CACHE_DIRECTORY"; head -c 4000000 /dev/urandom >"$CACHE_DIRECTORY/kept"; head -c 2000000 /dev/urandom >big
"""


def stamp(lab):
    return lab.home1.run("nsenter -t $(systemctl show -P MainPID p2prc-anew.service) -m cat /run/p2prc-deploy/stamp").out


def test_it_is_deployed_anew(lab):
    deploy(lab.home1, "anew", STAMP)
    first = stamp(lab)
    again = lab.home1.p2prc("deploy", "--again", "anew", timeout=180)
    assert "was deployed anew and runs revision 2" in again.err, again
    second = stamp(lab)
    assert second != first and runs_of(lab.home1, "anew") == "2"
    lab.home1.run("touch /run/lock/broken")
    pid = lab.home1.unit("p2prc-anew.service")["MainPID"]
    failed = lab.home1.p2prc("deploy", "anew", "--again", check=False, timeout=180)
    assert failed.code == 1 and "deploy-failed at exit 4" in failed.err and "it is broken" in failed.err, failed
    assert lab.home1.unit("p2prc-anew.service")["MainPID"] == pid and stamp(lab) == second
    lab.home1.run("rm /run/lock/broken")
    # Back to what was there before, which is still on disk.
    lab.home1.p2prc("rollback", "anew", "1", timeout=180)
    assert stamp(lab) == first and runs_of(lab.home1, "anew") == "3"
    lab.home1.p2prc("deploy", "--again", "anew", timeout=180)
    spin(lab.home1, "plain", SLEEP)
    refused = lab.home1.p2prc("deploy", "--again", "plain", check=False)
    assert refused.code == 7 and "has no deployer" in refused.err, refused
    assert lab.home1.p2prc("deploy", "--clean", "plain", check=False).code == 7
    assert lab.home1.p2prc("deploy", "anew", check=False).code == 2 and lab.home1.p2prc("deploy", "--again", check=False).code == 2


def test_what_is_not_needed_is_removed_when_asked(lab):
    results = "ls -d /var/lib/private/p2prc-deploy/anew/*"
    before = lab.home1.run(results).out.split()
    lab.home1.run("mkdir -p /var/lib/private/p2prc-deploy/anew/" + "ab" * 32)
    told = lab.home1.p2prc("deploy", "--clean", "anew", timeout=120)
    assert " removed, with what deployers had kept: " in told.err and told.out == "", told
    after = lab.home1.run(results).out.split()
    assert len(after) == 2 < len(before) and set(after) < set(before), (before, after)
    assert lab.home1.run("ls /var/cache/private/p2prc-deploy/anew", check=False).code != 0
    lab.home1.p2prc("restart", "anew", timeout=120)
    lab.home1.p2prc("deploy", "--again", "anew", timeout=180)
    removed = json.loads(lab.home1.p2prc("deploy", "--clean", "-o", "json", timeout=120).out)
    assert removed["results"] >= 1 and removed["bytes"] > 5_900_000, removed
    assert lab.home1.run("ls /var/cache/private/p2prc-deploy/*/kept", check=False).code != 0
    assert json.loads(lab.home1.p2prc("deploy", "--clean", "-o", "json", timeout=120).out) == {"results": 0, "bytes": 0}
    lab.home1.run("systemctl restart p2prcd")
    wait_until(lambda: info(lab.home1, "anew")["status"], 60, "anew to be known")
    spinning = begin(lab.home1, "slowest", "sleep 600")
    wait_words(lab.home1, "slowest", "prepares it")
    refused = lab.home1.p2prc("deploy", "--clean", check=False)
    assert refused.code == 6 and "slowest is being deployed" in refused.err, refused
    lab.home1.p2prc("kill", "slowest")
    spinning.wait(timeout=60)


# --- what other nodes may ask for

def test_remote_spins(lab):
    make_root(lab)
    join(lab, lab.home1)
    join(lab, lab.home2)
    deployer(lab.home2, "builds", '#!/bin/sh -e\ntest "$(id -u)" = 0\n', 'as = "root"\n')
    lab.home2.run("systemctl reload p2prcd")
    wait_until(lambda: "builds" in deployers(lab.home1, "home2"), 60, "home2 to tell of its deployers")
    assert not deployers(lab.home1, "home2")["builds"]["admitted"] and deployers(lab.home1, "home2")["script"]["admitted"]
    deploy(lab.home1, "far", "test \"$(id -u)\" != 0; echo ENV.A=b >.p2prc", node="home2")
    assert info(lab.home2, "far")["state"] == "running"
    refused = deploy(lab.home1, "farther", "x", strategy="builds", node="home2", check=False)
    assert refused.code != 0 and "the deployer 'builds', which runs as root" in refused.err and 'spin = "any" below [remote]' in refused.err, refused
    deploy(lab.home2, "near", "x", strategy="builds")
    lab.home2.write("/etc/p2prc/p2prcd.toml.d/remote.toml", '[remote]\nspin = "any"\n')
    lab.home2.run("systemctl reload p2prcd")
    wait_until(lambda: deployers(lab.home1, "home2")["builds"]["admitted"], 60, "home2 to tell of its settings")
    deploy(lab.home1, "farther", "x", strategy="builds", node="home2")
    assert info(lab.home2, "farther")["state"] == "running"


def test_what_no_process_needs_goes(lab):
    lab.home2.p2prc("kill", "near")
    wait_until(lambda: lab.home2.run("ls -d /var/lib/p2prc-deploy/near", check=False).code != 0, 120, "the result of a killed process to go")

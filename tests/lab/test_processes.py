"""Processes on one machine: spun, listed, changed, refused, adopted, and everything that they must survive."""

import json
import os
import signal
import tempfile

from lab import wait_until
from lab.household import info, main_pid, process_file, spin, state, wait_reason, wait_state

MACHINES = ["home1"]

WEB = """name = "web"
port = 8000

[run]
command = 'cd "$STATE_DIRECTORY" && exec python3 -m http.server "$PORT" --bind 127.0.0.1'
environment = { GREETING = "hello there" }

[limits]
memory = "128M"
cpu = "150%"
tasks = 32
"""


def sleeper(machine, name, **options):
    spin(machine, name, ["/bin/sleep", "infinity"], **options)
    return main_pid(machine, name)


def refused(machine, *words, user=None):
    """The exit status and the error object of a command that fails."""
    at = words.index("--") if "--" in words else len(words)
    result = machine.run(["p2prc", *words[:at], "-o", "json", *words[at:]], check=False, user=user)
    assert result.code, (words, result)
    return result.code, json.loads(result.out)["error"]


def daemon_pid(machine):
    return machine.unit("p2prcd.service")["MainPID"]


# --- the first minutes

def test_a_machine_is_a_fleet_of_one(lab):
    assert [(node["name"], node["state"]) for node in lab.home1.json("nodes")] == [("home1", "up")]
    assert lab.home1.json("ps") == []
    nothing = lab.home1.p2prc("ps")
    assert nothing.out == "" and "p2prc spin" in nothing.err


def test_first_spin(lab):
    lab.home1.p2prc("spin", "first", "--", "/bin/sleep", "infinity")
    known = info(lab.home1, "first")
    assert known["state"] == "running" and known["status"] is True and known["node"] == "home1"
    assert [process["name"] for process in lab.home1.json("ps")] == ["first"]
    assert main_pid(lab.home1, "first") > 0


def test_json_has_every_key_of_the_contract(lab):
    keys = {"id", "name", "node", "ip", "port", "domain", "domains", "status", "state", "deployment", "run_command", "kill_command", "memory_bytes",
            "cpu_seconds", "restarts", "since", "reason", "epoch", "digest"}
    for document in (info(lab.home1, "first"), lab.home1.json("ps")[0]):
        assert keys <= set(document), f"missing: {keys - set(document)}"
    keys = {"name", "id", "state", "ipv4", "ipv6", "latency_ms", "download_mbps", "upload_mbps", "server_port", "ssh_port", "nat", "via", "roles",
            "task_types", "cpus", "memory_bytes", "gpus", "labels", "custom", "last_seen"}
    for document in (lab.home1.json("nodes")[0], lab.home1.json("nodes", "show", "home1")):
        assert keys <= set(document), f"missing: {keys - set(document)}"


def test_the_same_again_does_nothing_and_another_is_an_update(lab):
    pid = main_pid(lab.home1, "first")
    lab.home1.p2prc("spin", "first", "--", "/bin/sleep", "infinity")
    assert main_pid(lab.home1, "first") == pid
    known = lab.home1.p2prc("spin", "-o", "json", "first", "--", "/bin/sleep", "1000", timeout=60).json()
    assert known["id"] == 1 and known["revision"] == 2 and known["run_command"] == "/bin/sleep 1000", known
    assert main_pid(lab.home1, "first") != pid


def test_kill_forgets(lab):
    lab.home1.p2prc("kill", "first")
    assert lab.home1.json("ps") == []
    assert not lab.home1.active("p2prc-first.service")


def test_a_kill_leaves_nothing_of_its_unit(lab):
    def left():
        return lab.home1.run("ls -d /run/systemd/system/p2prc-brief* /run/systemd/transient/p2prc-brief* 2>/dev/null", check=False).out
    for number in range(10):
        spin(lab.home1, f"brief{number}", ["/bin/sleep", "infinity"], wait=False)
        lab.home1.p2prc("kill", f"brief{number}")
    wait_until(lambda: not left(), 5, f"nothing to be left: {left()}")
    # Nor does what ended while p2prcd was not there.
    spin(lab.home1, "brief", ["/bin/sleep", "infinity"], wait=False)
    lab.home1.run("systemctl kill --signal=KILL p2prcd; systemctl stop p2prcd-control.socket p2prcd; systemctl stop p2prc-brief; systemctl start p2prcd")
    wait_state(lab.home1, "brief", "stopped")
    assert not left(), left()
    lab.home1.p2prc("kill", "brief")


def test_what_is_not_there_is_exit_status_3(lab):
    for verb in ("info", "kill", "stop", "start", "restart", "logs"):
        assert lab.home1.p2prc(verb, "first", check=False).code == 3, verb
    assert lab.home1.p2prc("unmap-domain", "nowhere.example", check=False).code == 3


# --- a process file, and what it makes

def test_a_file_is_spun_and_serves(lab):
    lab.home1.write("/root/web.toml", WEB)
    lab.home1.p2prc("spin", "/root/web.toml")
    process = info(lab.home1, "web")
    assert process["port"] == 8000 and process["status"] is True and process["state"] == "running", process
    assert process["reason"] is None and process["restarts"] == 0 and process["domain"] is None and process["domains"] == []
    assert process["memory_bytes"] > 0 and len(process["digest"]) == 64 and "http.server" in process["run_command"]
    wait_until(lambda: lab.home1.ok("curl -fs http://127.0.0.1:8000/"), 20, "the web server to answer")
    assert lab.home1.json("info", str(process["id"]))["name"] == "web"


def test_what_people_are_shown(lab):
    header, row = lab.home1.p2prc("ps").out.splitlines()
    assert header.split()[:4] == ["ID", "NAME", "NODE", "STATE"] and row.split()[1:4] == ["web", "home1", "running"], (header, row)
    shown = dict(line.split(None, 1) for line in lab.home1.p2prc("info", "web").out.splitlines())
    assert shown["name"] == "web" and shown["port"] == "8000" and shown["state"] == "running", shown


def test_it_is_a_confined_unit_with_limits_and_its_own_user(lab):
    unit = lab.home1.unit("p2prc-web.service")
    assert (unit["Slice"], unit["DynamicUser"], unit["MemoryMax"], unit["TasksMax"]) == ("p2prc.slice", "yes", str(128 << 20), "32"), unit
    assert unit["CPUQuotaPerSecUSec"].rstrip("s0").rstrip(".") == "1.5", unit["CPUQuotaPerSecUSec"]
    assert all(unit[f"{kind}Accounting"] == "yes" for kind in ("CPU", "Memory", "Tasks"))
    assert unit["User"].startswith("p2p-"), unit["User"]
    assert int(lab.home1.run(["stat", "-c", "%u", f"/proc/{unit['MainPID']}"]).out) >= 61184  # DynamicUser's first, systemd.exec(5)


def test_bad_files_name_file_line_and_key_and_leave_nothing(lab):
    cases = (('name = "bad"\n[run]\ncomand = ["x"]\n', 7, "/root/bad.toml:3: run.comand", "'command'"),
             ('name = "bad"\nport = 70000\n[run]\ncommand = ["x"]\n', 7, "/root/bad.toml:2: port", ""),
             ('name = "bad"\nport = "eighty"\n[run]\ncommand = ["x"]\n', 7, "/root/bad.toml:2: port", ""),
             ('name = "bad"\n[run]\ncommand = ["x"\n', 7, "/root/bad.toml:", ""),
             ('name = "bad"\n', 7, "/root/bad.toml", "run.command"),
             ('name = "bad"\n[run]\ncommand = ["x"]\n[placement]\nexclusive = true\n', 1, "not in this version", ""),
             *((process_file(name, ["x"]), 7, "/root/bad.toml:1: name", "") for name in ("edge", "Upper", "a_b", "-x")))
    for text, code, message, also in cases:
        lab.home1.write("/root/bad.toml", text)
        got, error = refused(lab.home1, "spin", "/root/bad.toml")
        assert got == code and message in error["message"] and also in f"{error['message']} {error['hint']}", (text, got, error)
    assert lab.home1.p2prc("spin", "/root/absent.toml", check=False).code == 3
    assert [process["name"] for process in lab.home1.json("ps")] == ["web"]


def test_the_bus_refuses_bad_specifications_too(lab):
    call = "busctl call org.p2prc1 /org/p2prc1 org.p2prc1.Manager SpinProcess 'a{sv}s' "
    for arguments in ('1 name s bad ""', '2 name s bad runn s x ""', '2 name s bad port s eighty ""'):
        result = lab.home1.run(call + arguments, check=False)
        assert result.code != 0 and "bad" not in lab.home1.p2prc("ps").out, arguments


def test_arguments_arrive_as_they_were_written(lab):
    lab.home1.p2prc("spin", "literal", "--", "/bin/sh", "-c", 'echo "$0|$1|$2"; exec sleep infinity', "$HOME", "%n a", "")
    wait_until(lambda: "$HOME|%n a|\n" in lab.home1.p2prc("logs", "literal").out, 20, "the arguments in the journal")
    # A reload makes systemd read its transient units again.
    lab.home1.run("systemctl daemon-reload")
    lab.home1.p2prc("restart", "literal")
    wait_until(lambda: lab.home1.p2prc("logs", "literal").out.count("$HOME|%n a|\n") == 2, 20, "the arguments once more")
    lab.home1.p2prc("kill", "literal")


def test_a_credential_is_handed_over_and_never_shown(lab):
    lab.home1.run("install -m 600 /dev/stdin /etc/secret-token", input="the-token")
    lab.home1.write("/root/secret.toml", 'name = "secret"\n[run]\ncommand = \'wc -c < "$CREDENTIALS_DIRECTORY/token"; exec sleep infinity\'\n'
                                         'credentials = { token = "/etc/secret-token" }\n')
    lab.home1.p2prc("spin", "/root/secret.toml")
    wait_until(lambda: any(line.split()[-1] == "9" for line in lab.home1.p2prc("logs", "secret").out.splitlines()), 20, "the credential to be read")
    assert "the-token" not in lab.home1.p2prc("info", "secret", "-o", "json").out + lab.home1.run("systemctl show p2prc-secret").out
    lab.home1.p2prc("kill", "secret")


def test_environment_values_are_not_returned(lab):
    assert "hello there" not in lab.home1.run("p2prc info web -o json; busctl call org.p2prc1 /org/p2prc1 org.p2prc1.Manager ListProcess").out


def test_a_port_of_another_process_is_refused_by_name(lab):
    code, error = refused(lab.home1, "spin", "other", "--port", "8000", "--", "/bin/sleep", "1000")
    assert code == 6 and error["code"] == "PortTaken" and "web" in error["message"], error
    assert [process["name"] for process in lab.home1.json("ps")] == ["web"]


def test_a_chosen_port_is_passed_and_remembered(lab):
    spin(lab.home1, "ported", 'echo "$PORT" >"$STATE_DIRECTORY/port"; exec /usr/bin/python3 -m http.server "$PORT" --bind 127.0.0.1', port=0)
    port = info(lab.home1, "ported")["port"]
    assert 20000 <= port < 30000
    wait_until(lambda: lab.home1.read("/var/lib/p2prc-data/ported/port").strip() == str(port), 10, "the process to have its port")
    lab.home1.p2prc("restart", "ported")
    assert info(lab.home1, "ported")["port"] == port


def test_a_unit_of_the_machine_is_not_taken_over(lab):
    lab.home1.write("/etc/systemd/system/p2prc-foreign.service", "[Service]\nExecStart=/usr/bin/sleep infinity\n")
    lab.home1.run("systemctl daemon-reload && systemctl start p2prc-foreign")
    pid = main_pid(lab.home1, "foreign")
    code, error = refused(lab.home1, "spin", "foreign", "--", "/bin/sleep", "1")
    assert code in (6, 7) and "p2prc-foreign.service" in error["message"], error
    assert main_pid(lab.home1, "foreign") == pid
    lab.home1.run("systemctl stop p2prc-foreign; rm /etc/systemd/system/p2prc-foreign.service; systemctl daemon-reload")
    lab.home1.p2prc("spin", "foreign", "--", "/bin/sleep", "infinity")
    lab.home1.p2prc("kill", "foreign")


def test_stop_start_restart_keep_the_record(lab):
    before = main_pid(lab.home1, "web")
    lab.home1.p2prc("restart", "web")
    assert state(lab.home1, "web") == "running" and main_pid(lab.home1, "web") not in (0, before)
    lab.home1.p2prc("stop", "web")
    process = info(lab.home1, "web")
    assert process["state"] == "stopped" and process["status"] is False
    assert process["reason"]["kind"] == "stopped" and process["reason"]["by"] == "root@home1", process["reason"]
    assert not lab.home1.active("p2prc-web.service")
    lab.home1.p2prc("start", "web")
    # The reason of the last stop stays while it runs again.
    process = info(lab.home1, "web")
    assert process["state"] == "running" and process["reason"]["kind"] == "stopped"


def test_logs(lab):
    lab.home1.p2prc("spin", "talker", "--", "/bin/sh", "-c", "for i in 1 2 3; do echo line $i; done; exec sleep infinity")
    wait_until(lambda: "line 3" in lab.home1.p2prc("logs", "talker").out, 20, "the lines")
    assert len(lab.home1.p2prc("logs", "talker", "-n", "1").out.splitlines()) == 1
    with tempfile.TemporaryFile() as out:
        following = lab.home1.popen(["p2prc", "logs", "talker", "-f"], stdout=out)
        try:
            def printed():
                out.seek(0)
                return out.read().decode()
            wait_until(lambda: "line 3" in printed(), 20, "the lines so far")
            # p2prcd reads the journal itself.
            assert not lab.home1.ok(["pgrep", "--parent", daemon_pid(lab.home1)])
            lab.home1.p2prc("restart", "talker")
            wait_until(lambda: printed().count("line 3") == 2, 20, "the lines that follow")
        finally:
            os.killpg(following.pid, signal.SIGKILL)
            following.wait()


# --- the bus

def test_the_bus_carries_objects_properties_and_signals(lab):
    manager = ("org.p2prc1", "/org/p2prc1", "org.p2prc1.Manager")
    with tempfile.TemporaryFile() as heard, tempfile.TemporaryFile() as said:
        monitor = lab.home1.popen(["busctl", "monitor", "--json=short", "--match", "type='signal',sender='org.p2prc1'"], stdout=heard, stderr=said)
        try:
            def said_so_far():
                said.seek(0)
                return said.read()
            wait_until(lambda: b"Monitoring" in said_so_far(), 20, "busctl to listen")
            path = lab.home1.run(["busctl", "--json=short", "call", *manager, "SpinProcess", "a{sv}s", "2", "name", "s", "busy",
                                  "run", "a{sv}", "1", "command", "as", "2", "/bin/sleep", "infinity", ""]).json()["data"][0]
            tree = lab.home1.run("busctl tree --list org.p2prc1").out.split()
            assert path in tree and "/org/p2prc1/node/home1" in tree, tree
            got = lab.home1.run(["busctl", "--json=short", "get-property", "org.p2prc1", path, "org.p2prc1.Process", "State"]).json()
            assert got == {"type": "s", "data": "running"}, got
            lab.home1.p2prc("stop", "busy")
            got = lab.home1.run(["busctl", "--json=short", "call", *manager, "ProcessInformation", "s", "busy"]).json()["data"][0]
            assert got["state"] == {"type": "s", "data": "stopped"} and got["id"]["type"] == "u" and "port" not in got, got
            lab.home1.p2prc("kill", "busy")

            def signals():
                heard.seek(0)
                return [json.loads(line) for line in heard.read().decode().splitlines() if line.endswith("}")]

            def members():
                return [(message["member"], message["path"], message["payload"]["data"]) for message in signals()]
            wait_until(lambda: any(member == "InterfacesRemoved" and data[0] == path for member, _, data in members()), 20, "the object's end")
        finally:
            os.killpg(monitor.pid, signal.SIGKILL)
            monitor.wait()
        added = [data for member, _, data in members() if member == "InterfacesAdded" and data[0] == path]
        assert len(added) == 1 and added[0][1]["org.p2prc1.Process"]["Name"]["data"] == "busy", added
        states = [data[1]["State"]["data"] for member, at, data in members()
                  if member == "PropertiesChanged" and at == path and "State" in data[1]]
        assert "running" in states and states[-1] == "stopped", members()
        # One object's change is no news of another.
        others = {at for member, at, _ in members() if member == "PropertiesChanged" and at.startswith("/org/p2prc1/process/")} - {path}
        measured = [(at, data) for member, at, data in members() if at in others and not set(data[1]) <= {"MemoryBytes", "CpuSeconds"}]
        assert not measured, measured
    assert path not in lab.home1.run("busctl tree --list org.p2prc1").out.split()


def test_installed_interfaces_are_those_served(lab):
    installed = lab.home1.run("cat /usr/share/dbus-1/interfaces/org.p2prc1.Manager.xml").out
    served = lab.home1.run("busctl introspect --xml-interface org.p2prc1 /org/p2prc1").out
    for method in ("SpinProcess", "KillProcess", "ProcessInformation", "ListProcess", "MapDomain", "UnmapDomain", "ListNodes"):
        assert f'"{method}"' in installed and f'"{method}"' in served, method


def test_an_unprivileged_user_may_look_and_not_touch(lab):
    lab.home1.run("useradd --create-home alice")
    pid = main_pid(lab.home1, "web")
    for user in ("alice", "nobody"):
        assert lab.home1.run(["p2prc", "ps", "-o", "json"], user=user).json()
        for words in (["spin", "mine", "--", "/bin/sleep", "1"], ["kill", "web"], ["stop", "web"], ["start", "web"], ["restart", "web"], ["init", "--name", "x"],
                      ["invite"], ["leave"], ["map-domain", "web.home.example"], ["logs", "web"]):
            code, error = refused(lab.home1, *words, user=user)
            assert code == 4 and error["code"] == "NotPermitted", (words, error)
    assert main_pid(lab.home1, "web") == pid


def test_edge_and_connector_users_are_refused_everything_else(lab):
    call = "busctl --system call"
    for user in ("p2prc-edge", "p2prc-connector"):
        for target in ("org.p2prc1 /org/p2prc1 org.p2prc1.Manager ListProcess",
                       "org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager ListUnits"):
            assert not lab.home1.ok(f"{call} {target}", user=user), (user, target)


def test_hardened_units(lab):
    """systemd-analyze's exposure times ten, as it is asked for: 30 is 3.0."""
    for unit, most in (("p2prcd.service", 30), ("p2prc-connector.service", 16)):
        result = lab.home1.run(["systemd-analyze", "security", f"--threshold={most}", "--no-pager", unit], check=False)
        assert result.code == 0, result.out.splitlines()[-1:]


# --- what they must survive

def test_a_killed_daemon_disturbs_no_process(lab):
    names = ("web", "ported", "talker")
    before = {name: main_pid(lab.home1, name) for name in names}
    restarts = {name: info(lab.home1, name)["restarts"] for name in names}
    for fall in ("systemctl kill --signal=KILL p2prcd.service", "systemctl kill --signal=ABRT p2prcd.service", "systemctl restart p2prcd.service"):
        daemon = daemon_pid(lab.home1)
        lab.home1.run(fall)
        wait_until(lambda: daemon_pid(lab.home1) not in ("0", daemon), 20, f"p2prcd to be back after {fall}")
        wait_until(lambda: all(state(lab.home1, name) == "running" for name in names), 20, "the processes to be adopted")
        assert {name: main_pid(lab.home1, name) for name in names} == before
        assert {name: info(lab.home1, name)["restarts"] for name in names} == restarts
        # What is adopted is also still watched.
        lab.home1.p2prc("stop", "talker")
        lab.home1.p2prc("start", "talker")
        before["talker"] = main_pid(lab.home1, "talker")


def test_a_daemon_that_dies_during_a_start_takes_its_unit_over(lab):
    """Wherever it dies, the process runs in the end, and what is told of it is what happened to the process."""
    spin(lab.home1, "phoenix", 'test -e "$STATE_DIRECTORY/once" && exec sleep infinity; touch "$STATE_DIRECTORY/once"; exit 7', check=False)
    unit = "p2prc-phoenix.service"
    moments = (lambda: True, lambda: lab.home1.unit(unit)["LoadState"] == "loaded", lambda: lab.home1.unit(unit)["SubState"] == "auto-restart",
               lambda: main_pid(lab.home1, "phoenix") > 0 and lab.home1.unit(unit)["NRestarts"] == "1")

    def risen():
        return wait_until(lambda: (p := info(lab.home1, "phoenix"))["state"] == "running" and p["restarts"] == 1 and p, 30, "phoenix to rise")
    for moment in moments:
        risen()
        lab.home1.p2prc("stop", "phoenix")
        lab.home1.run("rm /var/lib/p2prc-data/phoenix/once")
        starting = lab.home1.popen(["p2prc", "start", "phoenix"])
        wait_until(moment, 20, "the moment")
        lab.home1.run("systemctl kill --signal=KILL p2prcd.service")
        starting.wait(60)
        wait_until(lambda: lab.home1.ok(["p2prc", "ps"]), 20, "p2prcd to answer")
        if state(lab.home1, "phoenix") == "stopped":
            lab.home1.p2prc("start", "phoenix", check=False)  # it died before anything was acknowledged
        reason = risen()["reason"]
        assert (reason["kind"], reason["code"]) == ("exit-code", 7), reason
    lab.home1.p2prc("kill", "phoenix")


def test_a_name_that_is_anothers(lab):
    """A unit of an administrator keeps its name, its command and its life; when it goes the name is free at once."""
    lab.home1.run("systemd-run --unit=p2prc-squat.service sleep infinity")
    theirs = main_pid(lab.home1, "squat")
    refusal = spin(lab.home1, "squat", ["/bin/sleep", "1000"], check=False)
    assert refusal.code == 1 and "not made by p2prc" in refusal.err, refusal
    reason = info(lab.home1, "squat")["reason"]
    assert (reason["kind"], reason["step"]) == ("start-failed", "unit"), reason
    assert main_pid(lab.home1, "squat") == theirs and not lab.home1.ok("test -e /run/systemd/system/p2prc-squat.service.d")
    lab.home1.run("systemctl stop p2prc-squat.service && p2prc start squat")
    assert main_pid(lab.home1, "squat") not in (0, theirs)
    lab.home1.p2prc("kill", "squat")
    lab.home1.write("/etc/systemd/system/p2prc-filed.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    lab.home1.run("systemctl daemon-reload && systemctl start p2prc-filed.service")
    assert refused(lab.home1, "spin", "filed", "--", "/bin/sleep", "infinity")[1]["code"] == "InvalidSpec"
    lab.home1.run("rm /etc/systemd/system/p2prc-filed.service && systemctl stop p2prc-filed.service && p2prc spin filed -- /bin/sleep infinity")
    assert state(lab.home1, "filed") == "running"
    lab.home1.p2prc("kill", "filed")


def test_systemd_may_execute_itself_again(lab):
    before = {name: main_pid(lab.home1, name) for name in ("web", "ported")}
    lab.home1.run("systemctl daemon-reexec")
    wait_until(lambda: lab.home1.ok("systemctl is-system-running || systemctl is-active p2prcd.service"), 20, "systemd to answer")
    lab.home1.run(["kill", "-KILL", str(before["ported"])])
    wait_until(lambda: main_pid(lab.home1, "ported") not in (0, before["ported"]), 20, "ported to run again")
    wait_reason(lab.home1, "ported", "signal")
    wait_state(lab.home1, "ported", "running")
    assert main_pid(lab.home1, "web") == before["web"]


def test_all_comes_back_after_a_reboot_and_after_a_power_cut(lab):
    lab.home1.p2prc("stop", "talker")
    port = info(lab.home1, "ported")["port"]
    lab.home1.run("echo kept > /var/lib/p2prc-data/web/file")
    for fall, kind in ((lab.home1.reboot, "shutdown"), (lab.home1.power_cut, "power-loss")):
        fall()
        lab.home1.boot()
        for name in ("web", "ported"):
            wait_state(lab.home1, name, "running")
            wait_reason(lab.home1, name, kind)
        assert info(lab.home1, "ported")["port"] == port
        # What was stopped stays stopped.
        assert state(lab.home1, "talker") == "stopped" and info(lab.home1, "talker")["reason"]["kind"] == "stopped"
        wait_until(lambda: lab.home1.run("curl -fs http://127.0.0.1:8000/file").out == "kept\n", 20, "the web server to have its data")


def test_killing_forgets_all_but_the_data(lab):
    for name in ("web", "ported", "talker"):
        lab.home1.p2prc("kill", name)
    assert lab.home1.json("ps") == []
    assert not lab.home1.run("systemctl list-units --all --no-legend 'p2prc-web*' 'p2prc-ported*' 'p2prc-talker*'").out.strip()
    assert lab.home1.run("cat /var/lib/p2prc-data/web/file").out == "kept\n"


def test_a_new_process_of_an_old_name_does_not_inherit_its_data(lab):
    lab.home1.p2prc("spin", "web", "--", "/bin/sh", "-c", 'ls "$STATE_DIRECTORY"; echo listed; exec sleep infinity')
    wait_until(lambda: "listed" in lab.home1.p2prc("logs", "web").out, 20, "the list of files")
    assert "file" not in [line.split()[-1] for line in lab.home1.p2prc("logs", "web").out.splitlines()]
    lab.home1.p2prc("kill", "web")
    assert "kept" in lab.home1.run("cat /var/lib/private/p2prc-data/*/file").out


def test_acknowledged_is_kept_whatever_dies(lab):
    """Processes are spun while the daemon is killed at any moment; what was answered with success is there in the end."""
    done = []
    for number in range(12):
        name = f"kept{number}"
        running = lab.home1.popen(["p2prc", "spin", name, "--", "/bin/sleep", "infinity"])
        if number % 3 == 1:
            lab.home1.run(["systemctl", "kill", "--signal", str(int(signal.SIGKILL)), "p2prcd.service"], check=False)
        if running.wait(60) == 0:
            done.append(name)
        wait_until(lambda: lab.home1.ok(["p2prc", "ps"]), 30, "p2prcd to answer")
    assert done
    lab.home1.power_cut()
    lab.home1.boot()
    for name in done:
        wait_state(lab.home1, name, "running", timeout=30)
    units = lab.home1.run("systemctl list-units --no-legend --plain 'p2prc-kept*.service'").out.split()
    known = {process["name"] for process in lab.home1.json("ps")}
    assert {f"p2prc-{name}.service" for name in done} <= set(units)
    assert {unit[6:-8] for unit in units if unit.endswith(".service")} <= known

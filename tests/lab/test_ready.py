"""When a process is ready and whether it is healthy: each way to ask it, with real programs that take their time."""

from lab import wait_until
from lab.errors import LabError
from lab.household import info, main_pid, process_file, spin, wait_reason, wait_state

MACHINES = ["home1"]

# Answers 503 unless the file of its first argument is there.
SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if os.path.exists(sys.argv[1]) else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *words): print(self.path, self.headers["Host"], flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def well(name):
    return f"/run/well-{name}"


def server(name):
    return ["/usr/bin/python3", "-c", SERVER, well(name)]


def make_well(lab, name):
    lab.home1.run(["touch", well(name)])


def make_ill(lab, name):
    lab.home1.run(["rm", "-f", well(name)])


def begin(lab, name, command, **options):
    """Spins it beside the test: it is over when the process is ready."""
    lab.home1.write(f"/root/{name}.toml", process_file(name, command, **options))
    return lab.home1.popen(["p2prc", "spin", f"/root/{name}.toml", "--timeout", "2m"])


def wait_lack(lab, name, words):
    def seen():
        known = info(lab.home1, name)
        if words not in (known["waits_for"] or ""):
            raise LabError(f"{name} waits for {known['waits_for']}, reason {known['reason']}")
        return known
    return wait_until(seen, 60, f"{name} to say that it lacks {words!r}")


def wait_ready(lab, name):
    return wait_until(lambda: (known := info(lab.home1, name))["ready"] and known, 60, f"{name} to be ready")


def ends_not_ready(lab, name, command, step, words, **options):
    """It never becomes ready: the spin fails and says why, and the unit is gone."""
    spun = spin(lab.home1, name, command, check=False, restart="no", **options)
    assert spun.code == 1, (spun.out, spun.err)
    reason = wait_reason(lab.home1, name, "not-ready", 60)
    assert reason["step"] == step and words in reason["detail"], reason
    wait_state(lab.home1, name, "failed", 60)
    assert not lab.home1.active(f"p2prc-{name}.service")
    assert f"not-ready at {step}" in lab.home1.p2prc("info", name).out
    return reason


def no_probe_is_left(lab):
    assert "p2prcd-probe" not in lab.home1.run("systemctl list-units --all --no-legend 'p2prcd-probe-*'").out
    assert "p2prcd-probe" not in lab.home1.run("ls /run/systemd/system").out


# --- ready

def test_http_is_asked_until_it_is_well(lab):
    spinning = begin(lab, "web", server("web"), port=8301, ready={"http": "/health?deep=1"})
    known = wait_lack(lab, "web", "503")
    assert not known["ready"] and known["waits_for"] == "GET /health?deep=1: 503 Service Unavailable", known
    assert spinning.poll() is None
    make_well(lab, "web")
    assert spinning.wait(timeout=60) == 0
    known = info(lab.home1, "web")
    assert known["ready"] and known["waits_for"] is None and known["restarts"] == 0, known
    assert "/health?deep=1 localhost" in lab.home1.p2prc("logs", "web").out


def test_http_that_is_never_well(lab):
    ends_not_ready(lab, "never", server("never"), "http", "GET /: 503", port=8302, ready={"http": "/", "timeout": "4s"})


def test_the_policy_of_restarts_decides_what_follows(lab):
    spinning = begin(lab, "late", server("late"), port=8303, restart="on-failure", ready={"http": "/", "timeout": "4s"})
    wait_reason(lab.home1, "late", "not-ready", 60)
    assert spinning.wait(timeout=60) == 1
    make_well(lab, "late")
    known = wait_ready(lab, "late")
    assert known["state"] == "running" and known["reason"]["kind"] == "not-ready", known


def test_a_port_that_nobody_listens_at(lab):
    ends_not_ready(lab, "deaf", ["/bin/sleep", "infinity"], "port", "nothing listens on 127.0.0.1:8304", port=8304,
                   ready={"port": True, "timeout": "2s"})


def test_without_a_table_there_is_no_limit(lab):
    spin(lab.home1, "slow", ["/bin/sleep", "infinity"], port=8305, wait=False)
    known = wait_lack(lab, "slow", "nothing listens on 127.0.0.1:8305")
    assert known["reason"] is None and not known["ready"] and lab.home1.active("p2prc-slow.service"), known
    lab.home1.p2prc("kill", "slow")


def test_a_command_runs_as_the_process_does(lab):
    asks = ('echo looked >&2; test "$(id -u)" = "$(stat -L -c %u "$STATE_DIRECTORY")" && test "$GREETING" = hello && test "$PORT" = 8306 && touch "$STATE_DIRECTORY/probed" || '
            f'exit 2; test -e {well("db")} && exit 0; echo not yet; exit 1')
    lab.home1.write("/root/db.toml", process_file("db", ["/bin/sleep", "infinity"], port=8306, ready={"command": asks})
                    .replace("[run]", '[run]\nenvironment = { GREETING = "hello" }'))
    spinning = lab.home1.popen(["p2prc", "spin", "/root/db.toml", "--timeout", "2m"])
    wait_lack(lab, "db", "the command failed: not yet")
    make_well(lab, "db")
    assert spinning.wait(timeout=60) == 0
    assert info(lab.home1, "db")["ready"]
    probed = lab.home1.run("stat -c %u /var/lib/p2prc-data/db/probed").out
    assert probed == lab.home1.run("stat -L -c %u /var/lib/p2prc-data/db").out and probed.strip() != "0", probed
    no_probe_is_left(lab)


def test_a_command_that_never_succeeds(lab):
    ends_not_ready(lab, "bad", ["/bin/sleep", "infinity"], "command", "out of order",
                   ready={"command": "echo out of order; exit 1", "timeout": "5s"})
    no_probe_is_left(lab)


def test_a_notification(lab):
    says = f"while ! test -e {well('says')}; do sleep 0.1; done; systemd-notify --ready; exec sleep infinity"
    spinning = begin(lab, "says", says, ready={"notify": True})
    wait_state(lab.home1, "says", "starting", 60)
    assert spinning.poll() is None and not info(lab.home1, "says")["ready"]
    make_well(lab, "says")
    assert spinning.wait(timeout=60) == 0
    known = info(lab.home1, "says")
    assert known["ready"] and known["state"] == "running", known


def test_a_notification_that_never_comes(lab):
    ends_not_ready(lab, "mute", ["/bin/sleep", "infinity"], "notify", "READY=1", ready={"notify": True, "timeout": "3s"})


def test_it_stays_ready_when_p2prcd_restarts(lab):
    pid = main_pid(lab.home1, "web")
    lab.home1.run("systemctl restart p2prcd.service")
    wait_until(lambda: lab.home1.ok(["p2prc", "ps"]), 60, "p2prcd to answer")
    known = wait_ready(lab, "web")
    assert known["state"] == "running" and main_pid(lab.home1, "web") == pid, known


def test_what_cannot_be_asked_is_refused(lab):
    for name, options, words in (("no-port", {"ready": {"http": "/"}}, "ready.http: a process without a port"),
                                 ("two-ways", {"port": 8307, "ready": {"http": "/", "port": True}}, "ready.port: ready.http is there already")):
        refused = spin(lab.home1, name, ["/bin/true"], check=False, **options)
        assert refused.code == 7 and words in refused.err, refused.err


# --- live

def test_what_is_not_healthy_any_more_is_restarted(lab):
    make_well(lab, "hale")
    spin(lab.home1, "hale", server("hale"), port=8308, ready={"http": "/"}, live={"http": "/alive", "every": "1s", "failures": 2})
    pid = main_pid(lab.home1, "hale")
    make_ill(lab, "hale")
    reason = wait_reason(lab.home1, "hale", "unhealthy", 60)
    assert (reason["step"], reason["detail"]) == ("http", "GET /alive: 503 Service Unavailable"), reason
    make_well(lab, "hale")
    known = wait_ready(lab, "hale")
    assert known["state"] == "running" and known["reason"]["kind"] == "unhealthy", known
    assert main_pid(lab.home1, "hale") not in (0, pid)


def test_what_is_not_to_be_restarted_stays_failed(lab):
    make_well(lab, "frail")
    spin(lab.home1, "frail", ["/bin/sleep", "infinity"], restart="no",
         live={"command": f"test -e {well('frail')} || {{ echo it is ill; exit 1; }}", "every": "10s", "failures": 1})
    make_ill(lab, "frail")
    reason = wait_reason(lab.home1, "frail", "unhealthy", 90)
    assert reason["step"] == "command" and "it is ill" in reason["detail"], reason
    wait_state(lab.home1, "frail", "failed", 60)
    assert not lab.home1.active("p2prc-frail.service")
    no_probe_is_left(lab)

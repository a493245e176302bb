"""A changed file replaces what runs, and what ran before comes back where the new one is not kept."""

import json

from lab import wait_until
from lab.errors import LabError
from lab.household import info, main_pid, make_fleet, process_file, served, trust_fleet, visitors, wait_https, wait_state

MACHINES = ["root", "client", "acme", "home1", "home2"]

# Answers with its first argument. The second says how it is ill: "well", "late" (a second until it listens), "crash" (at once), "deaf" (never listens),
# "500", or "soon" (crashes two seconds after it was first asked). "/slow" takes 25 seconds.
SERVER = """
import http.server, os, select, signal, sys, threading, time
text, mode = sys.argv[1:3]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if mode == "soon":
            threading.Timer(2, lambda: os._exit(7)).start()
        if self.path == "/slow":
            time.sleep(25)
        self.send_response(500 if mode == "500" else 200)
        self.send_header("Content-Length", str(len(text))); self.end_headers(); self.wfile.write(text.encode())
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128
if mode == "crash":
    sys.exit("there is no such table")
if mode == "deaf":
    time.sleep(1000)
if mode == "late":
    time.sleep(1)
server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.01)
while select.select([server.socket], [], [], 0)[0]:
    server.handle_request()
server.server_close()
"""

def setup(lab):
    make_fleet(lab, "home1", "home2")
    trust_fleet(lab, lab.client)


def version(text, mode="late", **more):
    return process_file("web", ["/usr/bin/python3", "-c", SERVER, text, mode], port=0, domain="web.home.example",
                        update={"hold": "30s"}, **more)


def update(lab, text, mode="late", machine=None, **more):
    (machine or lab.home1).write("/root/web.toml", version(text, mode, **more))
    return (machine or lab.home1).run(["p2prc", "spin", "/root/web.toml"], timeout=300, check=False)


def all_served(seen, *texts):
    bodies = served(seen)
    assert bodies == set(texts), bodies


def history(lab, machine=None):
    return [row for row in rows(lab, machine) if row["revision"]]


def rows(lab, machine=None):
    return json.loads((machine or lab.home1).p2prc("history", "web", "-o", "json").out)


def outcomes(lab):
    return [(row["revision"], row["outcome"]) for row in history(lab)]


def wait_outcome(lab, revision, *outcome):
    def seen():
        row = next((row for row in history(lab) if row["revision"] == revision), {"outcome": None, "reason": None})
        known = row["outcome"]
        if known not in outcome:
            raise LabError(f"revision {revision} is {known}, for {row['reason']}")
        return known
    return wait_until(seen, 120, f"revision {revision} to be {outcome}")


def phase(lab):
    state = info(lab.home1, "web")
    return state["next"] or ""


def test_a_good_update_fails_nobody(lab):
    first = update(lab, "one")
    assert first.code == 0, first
    wait_https(lab.client, "web.home.example", "one", timeout=60)
    assert outcomes(lab) == [(1, "good")]
    seen, done = visitors(lab.client, "web.home.example", lambda: update(lab, "two"))
    assert done.code == 0, done
    assert "'web' becomes revision 2 on home1, and is restarted" in done.err and "run.command: " in done.err, done.err
    assert "'web' runs revision 2 on home1" in done.err, done.err
    all_served(seen, "one", "two")
    assert outcomes(lab) == [(2, "good"), (1, "good")]
    known = info(lab.home1, "web")
    assert known["revision"] == 2 and known["next"] is None and known["reason"]["detail"] == "for revision 2", known
    assert wait_until(lambda: outcomes_on_root(lab) == [(2, "good"), (1, "good")], 20, "the root to know")


def outcomes_on_root(lab):
    return [(row["revision"], row["outcome"]) for row in history(lab, lab.root)]


def not_kept(lab, text, mode, *words, **more):
    """The update fails and says why, nobody fails meanwhile, and what ran before runs again."""
    before = info(lab.home1, "web")
    seen, done = visitors(lab.client, "web.home.example", lambda: update(lab, text, mode, **more))
    assert done.code == 1, done
    for word in (*words, f"revision {before['revision']} runs again"):
        assert word in done.err, (word, done.err)
    known = info(lab.home1, "web")
    assert known["state"] == "running" and known["reason"]["kind"] == "update-failed", known
    return seen


def test_one_that_crashes_at_once_is_taken_back(lab):
    seen = not_kept(lab, "three", "crash", "revision 3 of process 'web' was not kept: exit-code 1", "there is no such table")
    all_served(seen, "two")
    assert outcomes(lab)[0] == (3, "rolled-back") and history(lab)[0]["reason"]["kind"] == "exit-code"
    wait_until(lambda: info(lab.home1, "web")["revision"] == 2, 20, "the record to name the revision that runs")


def test_one_that_is_not_ready_in_time_is_taken_back(lab):
    all_served(not_kept(lab, "four", "deaf", "not-ready at port", ready={"port": True, "timeout": "3s"}), "two")
    all_served(not_kept(lab, "five", "500", "not-ready at http", "500", ready={"http": "/", "timeout": "3s"}), "two")


def test_one_that_does_not_stay_up_is_taken_back(lab):
    """Some have heard from it by then, and one that crashes answers those no more who are with it."""
    seen = not_kept(lab, "six", "soon", "exit-code 7")
    assert {"two", "six"} <= {body for _, body, _ in seen}, {body for _, body, _ in seen}
    page = lab.client.run(["curl", "-sS", "--max-time", "30", "https://web.home.example/"], timeout=40)
    assert page.out == "two", page


def test_numbers_are_not_used_again(lab):
    assert update(lab, "seven").code == 0
    assert outcomes(lab)[0] == (7, "good"), outcomes(lab)
    stops = [row for row in rows(lab) if row["stop"]]
    assert len(stops) >= 4 and {row["node"] for row in stops} == {"home1"}, stops
    assert any(row["stop"] == "update-failed" and "exit-code 7" in row["reason"]["detail"] for row in stops), stops
    times = [row["at"] for row in rows(lab)]
    assert times == sorted(times, reverse=True), times
    wait_until(lambda: rows(lab, lab.root) == rows(lab), 20, "the root to know the same")
    table = lab.home1.p2prc("history", "web").out
    assert "REVISION" in table and "rolled-back" in table and "not-ready at http" in table, table


def test_limits_are_changed_on_what_runs(lab):
    pid = main_pid(lab.home1, "web")
    done = update(lab, "seven", limits={"tasks": 77})
    assert done.code == 0 and "nothing restarts" in done.err and "limits.tasks: not set -> 77" in done.err, done
    assert main_pid(lab.home1, "web") == pid
    assert lab.home1.run("systemctl show -P TasksMax p2prc-web.service").out.strip() == "77"
    lab.home1.run("systemctl restart p2prcd")
    wait_state(lab.home1, "web", "running")
    known = info(lab.home1, "web")
    assert known["revision"] == 8 and main_pid(lab.home1, "web") == pid, known


def test_a_rollback_is_the_next_revision(lab):
    done = lab.home1.run(["p2prc", "rollback", "web", "1"], timeout=120, check=False)
    assert done.code == 0 and "'web' is back to revision 1, as revision 9, on home1" in done.err, done
    assert next(row for row in rows(lab) if row["revision"] == 9)["rollback_of"] == 1, rows(lab)
    assert "a rollback to revision 1" in lab.home1.p2prc("history", "web").out
    wait_https(lab.client, "web.home.example", "one", timeout=30)
    unknown = lab.home1.run(["p2prc", "rollback", "web", "99"], check=False)
    assert unknown.code == 3 and "has no revision 99" in unknown.err and "8 (good)" in unknown.err, unknown
    done = lab.home1.run(["p2prc", "rollback", "web"], timeout=120, check=False)
    assert done.code == 0, done
    wait_https(lab.client, "web.home.example", "seven", timeout=30)


def test_who_may_not_change_it_may_not_update_it(lab):
    refused = update(lab, "mine", machine=lab.home2)
    assert refused.code == 4 and "runs on node 'home1'" in refused.err, refused
    assert lab.home2.run(["p2prc", "rollback", "web"], check=False).code == 4


def begin(lab, text, mode="late"):
    lab.home1.write("/root/web.toml", version(text, mode))
    lab.home1.p2prc("spin", "--no-wait", "/root/web.toml", timeout=60)


def last_revision(lab):
    return max(revision for revision, _ in outcomes(lab))


def kill_p2prcd(lab):
    lab.home1.run(["systemctl", "kill", "--signal=KILL", "p2prcd.service"])
    wait_until(lambda: lab.home1.run(["p2prc", "ps"], check=False).code == 0, 60, "p2prcd to be back")


def test_p2prcd_is_killed_while_the_new_one_starts(lab):
    begin(lab, "eleven")
    kill_p2prcd(lab)
    wait_outcome(lab, last_revision(lab), "good")
    wait_https(lab.client, "web.home.example", "eleven", timeout=30)


def test_p2prcd_is_killed_while_the_new_one_is_confirmed(lab):
    begin(lab, "twelve", "well")
    wait_until(lambda: "stays up" in phase(lab), 60, "it to be confirmed")
    kill_p2prcd(lab)
    wait_outcome(lab, last_revision(lab), "good")
    wait_https(lab.client, "web.home.example", "twelve", timeout=30)


def test_p2prcd_is_killed_while_it_goes_back(lab):
    begin(lab, "thirteen", "crash")
    wait_until(lambda: "was not kept" in phase(lab) or last_is(lab, "rolled-back"), 60, "it to go back")
    kill_p2prcd(lab)
    wait_outcome(lab, last_revision(lab), "rolled-back")
    wait_https(lab.client, "web.home.example", "twelve", timeout=30)


def last_is(lab, outcome):
    return outcomes(lab)[0][1] == outcome


def test_the_power_is_cut_while_the_new_one_is_confirmed(lab):
    begin(lab, "fourteen", "well")
    wait_until(lambda: "stays up" in phase(lab), 60, "it to be confirmed")
    lab.home1.power_cut()
    lab.home1.boot()
    wait_outcome(lab, last_revision(lab), "good")
    wait_https(lab.client, "web.home.example", "fourteen", timeout=90)


def test_the_power_is_cut_and_the_new_one_is_ill_afterwards(lab):
    """It is tried once more, and taken back then."""
    lab.home1.write("/usr/local/bin/fickle", "#!/bin/sh\ntest -e /run/once && exit 3\nexec /usr/bin/python3 -c \"$1\" fickle well\n", mode=0o755)
    lab.home1.write("/root/web.toml", process_file("web", ["/usr/local/bin/fickle", SERVER], port=0, domain="web.home.example"))
    lab.home1.p2prc("spin", "--no-wait", "/root/web.toml", timeout=60)
    wait_until(lambda: "stays up" in phase(lab), 60, "it to be confirmed")
    lab.home1.write("/etc/tmpfiles.d/once.conf", "f /run/once\n")
    lab.home1.power_cut()
    lab.home1.boot()
    wait_outcome(lab, last_revision(lab), "rolled-back")
    wait_https(lab.client, "web.home.example", "fourteen", timeout=90)


def test_the_root_is_away_meanwhile(lab):
    """What was begun is finished at home, and told later."""
    lab.home1.run(["rm", "/etc/tmpfiles.d/once.conf"])
    begin(lab, "fifteen", "crash")
    lab.root.run("systemctl stop p2prcd")
    wait_until(lambda: info(lab.home1, "web")["state"] == "running" and not phase(lab), 60, "it to have gone back")
    assert last_is(lab, "rolled-back"), outcomes(lab)
    lab.root.run("systemctl start p2prcd")
    wait_until(lambda: outcomes_on_root(lab)[0][1] == "rolled-back", 60, "the root to know")


def test_it_is_deployed_while_the_one_before_serves(lab):
    """And one that cannot be deployed stops nothing."""
    pid = main_pid(lab.home1, "web")
    seen, done = visitors(lab.client, "web.home.example", lambda: update(lab, "sixteen", "well", deploy={"strategy": "script", "script": "sleep 4; echo deployed >word"}))
    assert done.code == 0, done
    all_served(seen, "fourteen", "sixteen")
    assert main_pid(lab.home1, "web") != pid
    pid = main_pid(lab.home1, "web")
    seen, done = visitors(lab.client, "web.home.example", lambda: update(lab, "seventeen", "well", deploy={"strategy": "script", "script": "echo no such mirror >&2; exit 9"}))
    assert done.code == 1 and "deploy-failed at exit 9" in done.err and "runs on" in done.err and "no such mirror" in done.err, done
    all_served(seen, "sixteen")
    known = info(lab.home1, "web")
    assert main_pid(lab.home1, "web") == pid and known["state"] == "running", known
    assert last_is(lab, "rolled-back"), outcomes(lab)

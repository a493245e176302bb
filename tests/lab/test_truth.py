"""What status, doctor and the lists say is so: each trouble by its cause, on every node, with an exit status for programs."""

from lab import LabError, wait_until
from lab.household import info, join, make_fleet, spin, wait_reason, wait_state

MACHINES = ["root", "home1", "home2"]
SLEEP = ["/bin/sleep", "infinity"]


def setup(lab):
    make_fleet(lab, "home1", "home2")
    spin(lab.home1, "one", SLEEP)
    spin(lab.home2, "two", SLEEP)
    for machine in (lab.root, lab.home1, lab.home2):
        sound(machine)


def status(machine):
    result = machine.p2prc("status", "-o", "json", check=False)
    if result.code not in (0, 1):
        raise LabError(f"{result}")
    return result.code, result.json()["problems"]


def sound(machine):
    """Waits until nothing is down, as this machine sees it."""
    def seen():
        code, problems = status(machine)
        if code != 0:
            raise LabError(f"{problems}")
        return True
    return wait_until(seen, 60, f"nothing to be down, seen from {machine.name}")


def named(machine, subject, why=""):
    """Waits until `status` and `doctor` there name this cause, with `why` in its words, and exit with 1; returns the problem."""
    def seen():
        code, problems = status(machine)
        found = [problem for problem in problems if problem["subject"] == subject and why in problem["cause"]]
        if not found or code != 1:
            raise LabError(f"exit status {code}, {problems}")
        return found[0]
    problem = wait_until(seen, 60, f"{machine.name} to name {subject}")
    assert problem["severity"] == "down" and problem["hint"], problem
    doctor = machine.p2prc("doctor", "-o", "json", check=False)
    findings = {finding["subject"]: finding for finding in doctor.json()}
    assert doctor.code == 1 and findings[subject]["state"] == "fail" and findings[subject]["because"] is None, findings
    words = machine.p2prc("status", check=False)
    # Behind the colon there may be other words by now: how often something was tried, or for how long.
    assert words.code == 1 and problem["cause"].split(":")[0] in words.out, words
    return problem


def noted(machine, subject):
    """Waits until `status` there has this note and nothing is down, and `doctor` warns of it; returns the problem."""
    def seen():
        code, problems = status(machine)
        found = [problem for problem in problems if problem["subject"] == subject]
        if not found or code != 0:
            raise LabError(f"exit status {code}, {problems}")
        return found[0]
    problem = wait_until(seen, 60, f"{machine.name} to note {subject}")
    doctor = machine.p2prc("doctor", "-o", "json", check=False)
    findings = {finding["subject"]: finding for finding in doctor.json()}
    assert problem["severity"] == "warning" and findings[subject]["state"] == "warn", findings
    return problem


def now(machine):
    return machine.run("date -u +%Y-%m-%dT%H:%M:%SZ").out.strip()


def test_what_is_on_its_way_up_is_no_fault(lab):
    def never_down(machines):
        """Asks until nothing is even noted; nothing may be down meanwhile."""
        def seen():
            quiet = True
            for machine in machines:
                code, problems = status(machine)
                assert code == 0, (machine.name, problems)
                quiet = quiet and not any(p["subject"] == "link" or p["subject"].startswith("tunnel") for p in problems)
            return quiet
        wait_until(seen, 60, "all to be connected")
    lab.home2.p2prc("kill", "two")
    lab.home2.p2prc("leave")
    join(lab, lab.home2)
    never_down((lab.home2, lab.root))
    spin(lab.home2, "two", SLEEP)
    sound(lab.home2)
    lab.home2.reboot()
    never_down((lab.home2,))
    sound(lab.root)


def test_use_is_known_elsewhere_soon_and_kept_fresh(lab):
    for machine in (lab.root, lab.home2):
        wait_until(lambda machine=machine: info(machine, "one")["memory_bytes"], 30, "home1's use of memory to be known")
    # It grows a while after its start, so that only a second measurement can tell.
    grow = "import time; time.sleep(8); kept = bytearray(90 << 20); time.sleep(1e6)"
    spin(lab.home1, "grows", ["/usr/bin/python3", "-c", grow])
    wait_until(lambda: (info(lab.home2, "grows")["memory_bytes"] or 0) > 80 << 20, 40, "its growth to be seen while home2 looks")
    lab.home1.p2prc("kill", "grows")


def test_failed_processes_are_named_everywhere(lab):
    for name in ("fails", "fails-too"):
        spin(lab.home1, name, "exit 3", restart="no", check=False)
    for machine in (lab.root, lab.home2, lab.home1):
        for name in ("fails", "fails-too"):
            problem = named(machine, f"process {name}")
            assert "home1" in problem["cause"] and "exit-code 3" in problem["cause"], problem
    for name in ("fails", "fails-too"):
        lab.home1.p2prc("kill", name)
    sound(lab.root)


def test_a_limit_that_is_not_enforced(lab):
    spin(lab.home1, "hog", SLEEP, limits={"memory": "64M"})
    if lab.home1.ok("grep -qw memory /sys/fs/cgroup/cgroup.controllers"):
        sound(lab.home2)
    else:
        for machine in (lab.root, lab.home2, lab.home1):
            problem = noted(machine, "memory limits of home1")
            assert "hog" in problem["cause"] and "cgroup_enable=memory" in problem["hint"], problem
    lab.home1.p2prc("kill", "hog")
    sound(lab.home2)


def test_a_connector_that_does_not_run(lab):
    lab.home2.run("systemctl mask --runtime --now p2prc-connector.service")
    try:
        for machine in (lab.root, lab.home1, lab.home2):
            if machine is lab.home2:
                assert any(p["subject"] == "tunnel of home2" for p in status(machine)[1]), status(machine)
            else:
                assert "p2prc-connector" in named(machine, "tunnel of home2")["hint"]
    finally:
        lab.home2.run("systemctl unmask --runtime p2prc-connector.service && systemctl start p2prc-connector.service")
    sound(lab.root)


def test_a_home_whose_plug_is_pulled(lab):
    lab.home2.p2prc("restart", "two")
    reported = wait_reason(lab.root, "two", "stopped")
    before = now(lab.root)
    lab.home2.link_down()
    # Silent for some seconds, and lost later: it is the one cause all the time.
    for state in ("suspect", "lost"):
        wait_until(lambda state=state: any(node["name"] == "home2" and node["state"] == state for node in lab.root.json("nodes")), 90, f"home2 to be {state}")
        for machine in (lab.root, lab.home1):
            problem = named(machine, "node home2")
            assert problem["affects"] == ["process two"] and "p2prc nodes rm home2" in problem["hint"], problem
            assert len([p for p in status(machine)[1] if p["severity"] == "down"]) == 1, status(machine)
    # From the machine itself the root is what is away.
    named(lab.home2, "link")
    for machine in (lab.root, lab.home1):
        lost = info(machine, "two")
        assert lost["state"] == "lost" and lost["since"] > before and lost["reason"] == reported, (before, lost)
        said = machine.p2prc("info", "two").out
        assert "not known: node 'home2' does not answer; before that: stopped by root@home2" in said, said
        assert "not known; before: stopped" in machine.p2prc("ps").out
        seen = {node["name"]: node["last_seen"] for node in machine.json("nodes")}
        assert before[:16] <= seen["home2"][:16] and seen["home2"] < lost["since"], (before, seen, lost)
        assert seen["root"] >= lost["since"], (seen, lost)
    lab.home2.link_up()
    for machine in (lab.root, lab.home1, lab.home2):
        sound(machine)


def test_the_root_starts_again_while_a_home_is_lost(lab):
    lab.home2.link_down()
    wait_until(lambda: info(lab.home1, "two")["state"] == "lost", 90, "home2 to be lost")
    lost = info(lab.home1, "two")
    lab.root.run("systemctl restart p2prcd.service")
    wait_until(lambda: lab.home1.json("status")["reachable"], 60, "home1's link to be back")
    named(lab.home1, "node home2")
    assert info(lab.home1, "two")["since"] == lost["since"], (info(lab.home1, "two"), lost)
    lab.home2.link_up()
    sound(lab.home1)


def test_a_power_loss_says_after_when_and_until_when(lab):
    before = now(lab.root)
    lab.home2.power_cut()
    wait_until(lambda: info(lab.root, "two")["state"] == "lost", 90, "home2 to be lost")
    lab.home2.boot()
    wait_state(lab.root, "two", "running", timeout=90)
    reason = wait_reason(lab.root, "two", "power-loss")
    since = info(lab.root, "two")["since"]
    # Without a journal that outlives the machine only the boot is known.
    if lab.home2.ok("test -d /var/log/journal"):
        assert reason["detail"].startswith("the machine went off after ") and reason["at"] < since, reason
        assert f"after {reason['at']}" in lab.root.p2prc("info", "two").out
        assert reason["at"][:13] == before[:13] or reason["at"] > before, (reason, before)
    sound(lab.root)


def test_a_stop_while_the_power_is_off_says_who_asked(lab):
    lab.home2.power_cut()
    wait_until(lambda: info(lab.root, "two")["state"] == "lost", 90, "home2 to be lost")
    lab.root.p2prc("stop", "two")
    lab.home2.boot()
    wait_state(lab.root, "two", "stopped", timeout=90)
    for machine in (lab.root, lab.home2):
        reason = wait_reason(machine, "two", "stopped")
        assert reason["by"] == "root@root" and reason["detail"].startswith("it had ended before: power-loss"), reason
        row = next(line for line in machine.p2prc("ps").out.splitlines() if " two " in line)
        assert row.rstrip().split()[-1] != "-" and "stopped" in row, row
    lab.root.p2prc("start", "two")
    sound(lab.root)


def test_an_edge_that_is_stopped(lab):
    lab.root.run("systemctl stop p2prc-edge.socket p2prc-edge.service && systemctl mask --runtime p2prc-edge.service p2prc-edge.socket")
    try:
        problem = wait_until(lambda: next((p for p in status(lab.root)[1] if p["subject"] == "edge"), None), 30, "the root to name its edge")
        assert problem["severity"] == "down" and "'root'" in problem["cause"], problem
        assert status(lab.root)[0] == 1
        assert not [row for row in lab.root.json("domains") if row["state"] == "live"]
        # The cause comes before what follows from it.
        doctor = lab.root.p2prc("doctor", "-o", "json", check=False)
        findings = doctor.json()
        assert doctor.code == 1 and findings[0]["subject"] == "p2prc-edge.service", findings
        because = {finding["subject"]: finding["because"] for finding in findings}
        for subject in ("edge", "port 443", "port 53", f"dns {lab.root.address}"):
            assert because[subject] == "p2prc-edge.service", because
        for machine in (lab.home1, lab.home2):
            assert "443" in named(machine, "link")["cause"]
        # Homes that cannot come through it are no trouble of their own.
        wait_until(lambda: all(node["state"] == "lost" for node in lab.root.json("nodes") if node["name"] != "root"), 90, "the homes to be lost")
        down = [p for p in status(lab.root)[1] if p["severity"] == "down"]
        assert [p["subject"] for p in down] == ["edge"] and {"node home1", "node home2", "process one", "process two"} <= set(down[0]["affects"]), down
    finally:
        lab.root.run("systemctl unmask --runtime p2prc-edge.service p2prc-edge.socket && systemctl start p2prc-edge.socket p2prc-edge.service")
    for machine in (lab.root, lab.home1, lab.home2):
        sound(machine)


def test_a_port_that_another_program_holds(lab):
    lab.root.run("systemctl stop p2prc-edge.socket p2prc-edge.service")
    lab.root.run("systemd-run --unit=oldweb /usr/bin/python3 -m http.server 443")
    try:
        def holder():
            problem = next((p for p in status(lab.root)[1] if p["subject"] == "edge"), None)
            return problem and "oldweb.service" in problem["cause"] and problem
        assert "p2prc-edge.socket" in wait_until(holder, 60, "the root to name who has the edge's port")["hint"]
        finding = next(f for f in lab.root.p2prc("doctor", "-o", "json", check=False).json() if f["subject"] == "port 443")
        assert finding["state"] == "fail" and "python3" in finding["detail"] and finding["because"] is None, finding
    finally:
        lab.root.run("systemctl stop oldweb.service; systemctl start p2prc-edge.socket p2prc-edge.service")
    for machine in (lab.root, lab.home1):
        sound(machine)


def test_a_wrong_clock(lab):
    lab.home1.set_clock("-3y")
    try:
        for machine in (lab.root, lab.home2):
            problem = named(machine, "clock of home1")
            assert "behind the root's" in problem["cause"], problem
    finally:
        lab.home1.set_clock(None)
    sound(lab.root)


def test_a_domain_that_nothing_answers(lab):
    spin(lab.home1, "dead", SLEEP, port=9999, domain="dead.home.example", check=False)
    for machine in (lab.root, lab.home2, lab.home1):
        problem = named(machine, "process dead", "is not ready: nothing listens on 127.0.0.1:9999")
        assert problem["affects"] == ["domain dead.home.example"], problem
    lab.home1.p2prc("kill", "dead")
    sound(lab.root)

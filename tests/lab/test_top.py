"""What processes use, watched from any node: JSON lines for programs, a screen for people."""

import json
import os
import signal
import subprocess

from lab import LabError, wait_until
from lab.household import domain, make_fleet, spin, wait_state, web

MACHINES = ["root", "acme", "client", "home1", "home2"]
SITE = "site.home.example"
BURN = "while :; do :; done"
# Keeps writing to the disk: what stays in the page cache is no IO.
WRITE = "while :; do dd if=/dev/zero of=/var/lib/p2prc-data/writer/file bs=1M count=4 conv=fsync 2>/dev/null; sleep 0.2; done"


def setup(lab):
    make_fleet(lab, "home1", "home2")
    lab.client.trust(lab.root.p2prc("fleet", "ca").out)
    spin(lab.home1, "site", web("x" * 2000), port=0, domain=SITE)
    spin(lab.home1, "writer", WRITE, data=True)
    spin(lab.home2, "burner", BURN, limits={"cpu": "20%"})
    spin(lab.root, "idle", ["/usr/bin/sleep", "infinity"])
    wait_until(lambda: domain(lab.root, SITE)["state"] == "live", 90, f"{SITE} to be live")


def top(machine, *options, rounds=2):
    """The rows of the last round, by name."""
    out = machine.p2prc("top", "-o", "json", "-n", str(rounds), *options, timeout=120).out
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["round"] for row in rows} <= set(range(1, rounds + 1)), rows
    return {row["name"]: row for row in rows if row["round"] == rounds}


def whole(machine):
    """Who takes too long to answer is shown without values."""
    def measured():
        rows = top(machine)
        return rows if all(row["memory_bytes"] and row["cpu_percent"] is not None for row in rows.values()) and rows["site"]["connections"] is not None else None
    return wait_until(measured, 60, "all nodes to answer in time")


def test_every_node_sees_all_of_them(lab):
    for machine in (lab.root, lab.home1, lab.home2):
        rows = whole(machine)
        assert set(rows) == {"site", "writer", "burner", "idle"}, rows
        for row in rows.values():
            assert row["state"] == "running" and row["memory_bytes"] > 0 and row["cpu_seconds"] >= 0, row
        assert rows["burner"]["cpu_percent"] > 1, rows
        assert rows["burner"]["cpu_percent"] > rows["idle"]["cpu_percent"], rows
        assert rows["site"]["connections"] == 0 and rows["idle"]["connections"] is None, rows


def test_one_node_and_one_process(lab):
    assert set(top(lab.root, "--node", "home1")) == {"site", "writer"}
    for name in ("burner", str(lab.root.json("info", "burner")["id"])):
        assert set(top(lab.home1, name)) == {"burner"}
    assert set(top(lab.home2, f"https://{SITE}/")) == {"site"}
    assert lab.root.p2prc("top", "nobody", check=False).code == 3
    assert lab.root.p2prc("top", "--node", "nobody", check=False).code == 3


def test_what_a_kernel_does_not_account_for_is_null(lab):
    accounted = lab.home1.ok(["test", "-e", "/sys/fs/cgroup/p2prc.slice/p2prc-writer.service/io.stat"])
    row = top(lab.home1, "writer")["writer"]
    assert (row["io_written_bytes"] is not None) == accounted, row
    counted = lab.home1.ok(["test", "-e", "/sys/fs/cgroup/p2prc.slice/p2prc-writer.service/pids.current"])
    assert (row["tasks"] is not None) == counted, row


def counted(machine):
    def row():
        site = top(machine, "site", rounds=1)["site"]
        return site if site["sent_bytes"] is not None else None
    return wait_until(row, 60, "the node of the site to answer in time")


def test_clients_through_the_edge_are_counted(lab):
    before = counted(lab.root)
    lab.client.run(f"for i in $(seq 20); do curl -sS --max-time 20 -o /dev/null https://{SITE}/; done", timeout=300)
    after = counted(lab.root)
    assert after["sent_bytes"] - before["sent_bytes"] >= 20 * 2000, (before, after)
    assert after["received_bytes"] > before["received_bytes"], (before, after)

    # One that stays, and says nothing.
    idle = lab.client.popen(["openssl", "s_client", "-quiet", "-connect", f"{SITE}:443", "-servername", SITE],
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: top(lab.home2, "site", rounds=1)["site"]["connections"] == 1, 60, "the client to be counted")
    finally:
        os.killpg(idle.pid, signal.SIGKILL)
    wait_until(lambda: top(lab.home2, "site", rounds=1)["site"]["connections"] == 0, 60, "the client to be gone")

    # While it is loaded, there is a rate.
    load = lab.client.popen(f"while :; do curl -sS --max-time 20 -o /dev/null https://{SITE}/; done", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: (top(lab.root, "site")["site"]["sent_bytes_per_second"] or 0) > 1000, 60, "a rate")
    finally:
        os.killpg(load.pid, signal.SIGKILL)


def screen(machine, command, keys="sleep 6; printf q", columns=100, lines=24):
    """What a terminal of that size is sent until the keys end the command."""
    shell = f"({keys}) | script -qec 'trap : INT; stty cols {columns} rows {lines}; {command}; echo status $?; stty -a' /dev/null"
    return machine.run(["env", "TERM=xterm", "sh", "-c", shell], timeout=120).out


def test_a_terminal_shows_a_screen_and_gets_it_back(lab):
    shown = screen(lab.root, "p2prc top")
    begin, end = shown.index("\x1b[?1049h"), shown.index("\x1b[?1049l")
    frames = shown[begin:end].split("\x1b[H")[1:]
    assert len(frames) >= 2, shown
    last = frames[-1].split("\x1b[K")
    assert last[0].startswith("p2prc top, every 1 s, by cpu: 4 processes on 3 nodes, 4 running"), last
    assert any(line.strip().startswith("burner") for line in last), last
    assert "status 0" in shown[end:], shown[end:]
    assert " icanon" in shown[end:] and " echo " in shown[end:], "the terminal's settings are restored"
    # Ctrl-C, and a narrow terminal.
    shown = screen(lab.root, "p2prc top --sort memory", keys="sleep 4; printf '\\003'; sleep 1", columns=40, lines=6)
    end = shown.index("\x1b[?1049l")
    assert "status 0" in shown[end:], shown[end:]
    for frame in shown[:end].split("\x1b[H")[1:]:
        rows = [row.strip("\r\n") for row in frame.split("\x1b[J")[0].split("\x1b[K")]
        assert all(len(row) <= 40 for row in rows) and len(rows) <= 7, rows


def test_nobody_reads_any_more(lab):
    assert lab.root.run("p2prc top -o json | head -n 1", timeout=60).out.count("\n") == 1


def test_a_process_that_ends_says_why(lab):
    spin(lab.home2, "brief", "sleep 3; exit 3", restart="no", check=False)
    wait_state(lab.root, "brief", "failed", 60)
    row = top(lab.root, "brief")["brief"]
    assert row["state"] == "failed" and row["reason"]["code"] == 3 and row["memory_bytes"] is None, row
    assert "log" not in row["reason"] or row["reason"]["log"] is None, row
    lab.root.p2prc("kill", "brief")


def test_a_node_that_does_not_answer_is_left_out(lab):
    lab.home2.power_off()
    rows = wait_until(lambda: next((rows for rows in [top(lab.root, rounds=1)] if rows["idle"]["memory_bytes"]), None), 60, "the root to be measured")
    assert rows["burner"]["memory_bytes"] is None, rows
    lab.home2.boot()

    def measured():
        row = top(lab.root, "burner", rounds=1)["burner"]
        if not row["memory_bytes"]:
            raise LabError(f"{row}")
        return row
    wait_until(measured, 120, "home2 to be measured again")

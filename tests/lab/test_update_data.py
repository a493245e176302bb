"""The data of a process is copied between two revisions, and put back where the new one is not kept."""

import json

from lab import wait_until
from lab.household import info, make_fleet, process_file, wait_state

MACHINES = ["root", "home1"]
DATA = "/var/lib/p2prc-data/book"
# Writes its first argument into its data. The second says how it is ill: "well", or "crash" (after it has written).
BOOK = """
import os, sqlite3, sys, time
text, mode = sys.argv[1:3]
path = os.environ["STATE_DIRECTORY"] + "/book.db"
book = sqlite3.connect(path)
book.execute("create table if not exists pages (version text, page text)")
old = [row[0] for row in book.execute("select version from pages")]
print("found", old, flush=True)
if mode == "crash":
    book.execute("drop table pages")
    book.execute("create table leaves (leaf text)")
else:
    book.execute("insert into pages values (?, 'x')", (text,))
book.commit()
if mode == "crash":
    sys.exit("there is no such leaf")
time.sleep(100000)
"""


def setup(lab):
    make_fleet(lab, "home1")


def spin(lab, text, mode="well"):
    lab.home1.write("/root/book.toml", process_file("book", ["/usr/bin/python3", "-c", BOOK, text, mode], data=True, update={"snapshot": True}))
    return lab.home1.run(["p2prc", "spin", "/root/book.toml"], timeout=300, check=False)


def begin(lab, text, mode="well"):
    """The same, and nobody waits for it: a copy is made before it is started."""
    lab.home1.write("/root/book.toml", process_file("book", ["/usr/bin/python3", "-c", BOOK, text, mode], data=True, update={"snapshot": True}))
    lab.home1.run("p2prc spin --no-wait /root/book.toml >/dev/null 2>&1 &")


def wait_copying(lab):
    def copies():
        # A removal of an earlier copy is a unit of the same name.
        unit = lab.home1.unit("p2prcd-copy-book.service")
        return unit["ActiveState"] == "activating" and unit["Description"].startswith("Copy of the data")
    wait_until(copies, 60, "it to be copied")


def pages(lab, directory=DATA):
    """The versions that have written to the book, or nothing where it has no pages."""
    read = "import sqlite3, sys; print([r[0] for r in sqlite3.connect(sys.argv[1]).execute('select version from pages')])"
    told = lab.home1.run(["python3", "-c", read, f"{directory}/book.db"], check=False)
    return None if told.code else told.out.strip()


def history(lab):
    return [row for row in json.loads(lab.home1.p2prc("history", "book", "-o", "json").out) if row["revision"]]


def test_what_is_kept_keeps_its_data(lab):
    assert spin(lab, "one").code == 0
    assert pages(lab) == "['one']" and not lab.home1.ok(f"test -e {DATA}.before")
    done = spin(lab, "two")
    assert done.code == 0, done
    assert pages(lab) == "['one', 'two']" and pages(lab, f"{DATA}.before") == "['one']"
    assert history(lab)[0]["data"] == "copied", history(lab)
    assert "earlier process" not in done.err, done.err
    assert lab.home1.run(f"stat -c %a {DATA}.before/").out.strip() == "700"


def test_what_is_not_kept_leaves_the_data_as_it_was(lab):
    lab.home1.run(f"ln -s /etc/shadow {DATA}/link && ln {DATA}/book.db {DATA}/same && mkfifo {DATA}/pipe")
    done = spin(lab, "three", "crash")
    assert done.code == 1 and "exit-code 1" in done.err and "is as it was before the update" in done.err, done
    wait_state(lab.home1, "book", "running")
    assert pages(lab) == "['one', 'two', 'two']", "the revision before has found its data and gone on"
    assert pages(lab, f"{DATA}.before") is None, "what the new one has made of it is kept"
    assert history(lab)[0]["outcome"] == "rolled-back" and history(lab)[0]["data"] == "put back", history(lab)
    assert "exit-code 1; its data was put back" in lab.home1.p2prc("history", "book").out
    kinds = lab.home1.run(f"cd {DATA} && stat -c '%F %h' link book.db pipe").out.splitlines()
    assert kinds == ["symbolic link 1", "regular file 2", "fifo 1"], kinds
    owners = set(lab.home1.run(f"find {DATA}/ -maxdepth 1 ! -type l -printf '%U\\n'").out.split())
    assert len(owners) == 1 and owners != {"0"}, owners


def slow_copy(lab, seconds):
    """The command that copies takes so long before it begins."""
    lab.home1.run("mkdir -p /etc/systemd/system/p2prcd-copy-book.service.d")
    lab.home1.write("/etc/systemd/system/p2prcd-copy-book.service.d/slow.conf", f"[Service]\nExecStartPre=/usr/bin/sleep {seconds}\n")
    lab.home1.run("systemctl daemon-reload")


def quick_copy(lab):
    lab.home1.run("rm -r /etc/systemd/system/p2prcd-copy-book.service.d; systemctl daemon-reload")


def test_what_takes_too_long_is_not_copied_and_said(lab):
    before = pages(lab)
    slow_copy(lab, 60)
    done = spin(lab, "four")
    assert done.code == 0, done
    assert "its data was not copied: that takes longer than 5 s" in done.err, done.err
    assert history(lab)[0]["data"].startswith("not copied"), history(lab)
    assert pages(lab) == before[:-1] + ", 'four']"
    quick_copy(lab)


def test_p2prcd_is_killed_while_it_copies(lab):
    before = pages(lab)
    slow_copy(lab, 3)
    begin(lab, "five", "crash")
    wait_copying(lab)
    lab.home1.run(["systemctl", "kill", "--signal=KILL", "p2prcd.service"])
    quick_copy(lab)
    wait_until(lambda: history(lab)[0]["outcome"] == "rolled-back", 120, "it to be taken back")
    wait_state(lab.home1, "book", "running")
    assert history(lab)[0]["data"] == "put back", history(lab)
    assert pages(lab) == before[:-1] + ", 'four']", "the revision before runs again"


def test_the_power_is_cut_while_it_copies(lab):
    before = pages(lab)
    slow_copy(lab, 4)
    begin(lab, "six", "crash")
    wait_copying(lab)
    lab.home1.power_cut()
    lab.home1.boot()
    wait_until(lambda: history(lab)[0]["outcome"] == "rolled-back", 120, "it to be taken back")
    wait_state(lab.home1, "book", "running")
    assert history(lab)[0]["data"] == "put back", history(lab)
    assert pages(lab) == before[:-1] + ", 'four']", "the revision before runs again"
    quick_copy(lab)


def test_the_power_is_cut_while_the_new_one_is_confirmed(lab):
    """It is tried once more, and the data is that of before it was tried at all."""
    before = pages(lab)
    begin(lab, "seven")
    wait_until(lambda: "if it stays up" in (info(lab.home1, "book")["next"] or ""), 60, "it to be confirmed")
    assert "seven" in pages(lab)
    lab.home1.power_cut()
    lab.home1.boot()
    wait_until(lambda: history(lab)[0]["outcome"] == "good", 120, "it to be kept")
    assert pages(lab) == before[:-1] + ", 'seven', 'seven']"
    assert pages(lab, f"{DATA}.before") == before


def test_a_process_without_data_has_nothing_to_copy(lab):
    lab.home1.write("/root/bare.toml", 'name = "bare"\n[run]\ncommand = ["/bin/sleep", "1000"]\ndata = false\n[update]\nsnapshot = true\n')
    refused = lab.home1.run(["p2prc", "spin", "/root/bare.toml"], check=False)
    assert refused.code == 7 and "there is nothing to copy" in refused.err, refused

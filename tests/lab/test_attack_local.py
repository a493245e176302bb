"""Attacks by a user of the machine who may do nothing: calls that fill p2prcd, questions that nobody answers, text that breaks lists."""

from lab import wait_until
from lab.household import info, spin

MACHINES = ["home1"]

# The calls are written by hand: python3-dbus cannot set the flag ALLOW_INTERACTIVE_AUTHORIZATION (4), without which polkit asks no agent,
# and reads what comes.
CALLS = r"""
import os, socket, struct, sys, time

def align(data, to):
    return data + bytes(-len(data) % to)

def text(data, value):
    value = value.encode()
    return align(data, 4) + struct.pack("<I", len(value)) + value + bytes(1)

def message(serial, flags, fields, body=b""):
    array = b""
    for code, kind, value in fields:
        array = align(array, 8) + bytes([code, 1]) + kind.encode() + bytes(1)
        array = array + bytes([len(value)]) + value.encode() + bytes(1) if kind == "g" else text(array, value)
    return align(struct.pack("<BBBBIII", ord("l"), 1, flags, 1, len(body), serial, len(array)) + array, 8) + body

def connect():
    bus = socket.socket(socket.AF_UNIX)
    bus.settimeout(60)
    bus.connect("/run/dbus/system_bus_socket")
    bus.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
    assert bus.recv(200).startswith(b"OK")
    bus.sendall(b"BEGIN\r\n")
    bus.sendall(message(1, 0, [(1, "o", "/org/freedesktop/DBus"), (2, "s", "org.freedesktop.DBus"), (3, "s", "Hello"), (6, "s", "org.freedesktop.DBus")]))
    return bus
"""

# Its own polkit agent, which never answers, and calls that polkit has to ask about, whose answers it does not wait for.
AGENT = CALLS + r"""
size, count = int(sys.argv[1]), int(sys.argv[2])
bus = connect()

# RegisterAuthenticationAgent(("unix-process", {"pid": u, "start-time": t}), "C", "/agent")
start = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19])
pid = align(text(b"", "pid") + b"\1u\0", 4) + struct.pack("<I", os.getpid())
subject = align(pid, 8) + align(text(b"", "start-time") + b"\1t\0", 8) + struct.pack("<Q", start)
body = align(align(text(b"", "unix-process"), 4) + struct.pack("<I", len(subject)), 8) + subject
bus.sendall(message(2, 0, [(1, "o", "/org/freedesktop/PolicyKit1/Authority"), (2, "s", "org.freedesktop.PolicyKit1.Authority"),
                           (3, "s", "RegisterAuthenticationAgent"), (6, "s", "org.freedesktop.PolicyKit1"), (8, "g", "(sa{sv})ss")],
                    text(text(body, "C"), "/agent")))
call = [(1, "o", "/org/p2prc1"), (2, "s", "org.p2prc1.Manager"), (3, "s", "KillProcess"), (6, "s", "org.p2prc1"), (8, "g", "s")]
for i in range(count):
    bus.sendall(message(3 + i, 1 | 4, call, text(b"", "a" * size)))
heard = b""
while size < 65536 and b"BeginAuthentication" not in heard:
    heard = heard[-100:] + bus.recv(65536)
print("sent", flush=True)
sys.stdin.read()
"""

# Asks for the description of the root object, some 7 KB, and reads no answer.
DEAF = CALLS + r"""
connections = [connect() for _ in range(8)]
call = [(1, "o", "/org/p2prc1"), (2, "s", "org.freedesktop.DBus.Introspectable"), (3, "s", "Introspect"), (6, "s", "org.p2prc1")]
for turn in range(300):
    for bus in connections:
        bus.sendall(b"".join(message(2 + turn * 10 + i, 0, call) for i in range(10)))
    time.sleep(0.03)
print("sent", flush=True)
sys.stdin.read()
"""


def pss(machine, unit):
    pid = machine.unit(unit)["MainPID"]
    return int(machine.run(f"awk '/^Pss:/ {{print $2}}' /proc/{pid}/smaps_rollup").out)


def test_a_user_and_a_process(lab):
    lab.home1.run("useradd -m mallory")
    lab.home1.write("/home/mallory/agent.py", AGENT)
    lab.home1.p2prc("spin", "victim", "--", "/bin/sleep", "infinity")
    refused = lab.home1.p2prc("kill", "victim", check=False, user="mallory")
    assert refused.code == 4, refused


def test_questions_that_nobody_answers_stop_no_start(lab):
    before = pss(lab.home1, "p2prcd.service")
    agent = lab.home1.popen(["python3", "/home/mallory/agent.py", "10", "160"], user="mallory", stdin=-1, stdout=-1, text=True)
    try:
        assert agent.stdout.readline().strip() == "sent"


        started = lab.home1.p2prc("spin", "newcomer", "--", "/bin/sleep", "infinity", check=False)
        assert started.code == 0, started
        lab.home1.p2prc("kill", "newcomer")
        assert pss(lab.home1, "p2prcd.service") < before + 30000
    finally:
        agent.communicate("", timeout=30)
    assert info(lab.home1, "victim")["state"] == "running"


def test_calls_that_are_big_are_not_kept(lab):
    before = pss(lab.home1, "p2prcd.service")
    agent = lab.home1.popen(["python3", "/home/mallory/agent.py", "6000000", "30"], user="mallory", stdin=-1, stdout=-1, text=True)
    try:
        assert agent.stdout.readline().strip() == "sent"
        lab.home1.p2prc("spin", "newcomer", "--", "/bin/sleep", "infinity", timeout=120)
        wait_until(lambda: pss(lab.home1, "p2prcd.service") < before + 60000, 60, "p2prcd to give back what it was sent")
    finally:
        agent.communicate("", timeout=30)
    lab.home1.p2prc("kill", "newcomer")
    big = lab.home1.run("python3 -c 'import dbus; dbus.Interface(dbus.SystemBus().get_object(\"org.p2prc1\", \"/org/p2prc1\"), "
                        "\"org.p2prc1.Manager\").ProcessInformation(\"a\" * 100000)'", check=False, user="mallory")
    assert "too much text" in big.err, big


def test_answers_that_nobody_reads_silence_nobody_else(lab):
    lab.home1.write("/home/mallory/deaf.py", DEAF)
    before = pss(lab.home1, "p2prcd.service")
    deaf = lab.home1.popen(["python3", "/home/mallory/deaf.py"], user="mallory", stdin=-1, stdout=-1, text=True)
    try:
        assert deaf.stdout.readline().strip() == "sent"
        assert lab.home1.run(["p2prc", "ps"], user="mallory", timeout=20).code == 0
        lab.home1.p2prc("spin", "newcomer", "--", "/bin/sleep", "infinity", timeout=20)
        lab.home1.p2prc("kill", "newcomer", timeout=20)
        assert pss(lab.home1, "p2prcd.service") < before + 30000
    finally:
        deaf.communicate("", timeout=30)
    lab.home1.run("busctl call org.p2prc1 /org/p2prc1 org.p2prc1.Manager ListProcess", user="mallory")


def test_no_text_takes_a_list_along(lab):
    # In a log, into the reason of a stop, to every list: a noncharacter, half a character, an escape.
    for name, bytes_ in (("nonchar", r"GET /\357\277\277"), ("latin", r"Ger\344t"), ("escape", r"\033[2J\033]52;c;aGk=\007")):
        spin(lab.home1, name, f"sleep 3; printf '{bytes_}\\n'; exit 3", restart="no", check=False)
        wait_until(lambda: info(lab.home1, name)["state"] == "failed", 30, f"'{name}' to have failed")
    for words in (["ps"], ["info", "nonchar"], ["info", "latin"], ["info", "escape"], ["status"], ["logs", "nonchar"], ["logs", "escape"]):
        shown = lab.home1.p2prc(*words, check=False, user="mallory" if words[0] != "logs" else None)
        assert shown.code in (0, 1) and "\x1b" not in shown.out + shown.err, (words, shown)
        assert "D-Bus message" not in shown.err, (words, shown)
    assert lab.home1.run("busctl call org.p2prc1 /org/p2prc1 org.freedesktop.DBus.ObjectManager GetManagedObjects", user="mallory").code == 0
    for name in ("nonchar", "latin", "escape"):
        lab.home1.p2prc("kill", name)


def test_nobody_reads_log_lines_without_the_right(lab):
    words = "these-were-the-last-words"
    # Its command, which everybody may read, does not have them in one piece.
    spin(lab.home1, "talker", 'sleep 3; echo these-were-"the-last"-words; exit 3', restart="no", check=False)
    wait_until(lambda: info(lab.home1, "talker")["state"] == "failed", 30, "'talker' to have failed")
    wait_until(lambda: words in str(info(lab.home1, "talker")["reason"]["log"]), 30, "root to see its last lines")
    path = "/org/p2prc1/process/" + str(info(lab.home1, "talker")["id"])
    for call in ("/org/p2prc1 org.p2prc1.Manager ProcessInformation s talker", "/org/p2prc1 org.p2prc1.Manager ListProcess",
                 "/org/p2prc1 org.p2prc1.Manager Status", "/org/p2prc1 org.p2prc1.Manager Facts",
                 "/org/p2prc1 org.freedesktop.DBus.ObjectManager GetManagedObjects",
                 f"{path} org.freedesktop.DBus.Properties GetAll s org.p2prc1.Process"):
        shown = lab.home1.run(f"busctl call org.p2prc1 {call}", user="mallory")
        assert "exit-code" in shown.out and words not in shown.out, shown
    for command in (["info", "talker"], ["info", "talker", "-o", "json"], ["status"], ["logs", "talker"]):
        shown = lab.home1.p2prc(*command, check=False, user="mallory")
        assert words not in shown.out + shown.err, shown
    lab.home1.p2prc("kill", "talker")


def test_a_rule_is_about_one_process_and_one_verb(lab):
    lab.home1.p2prc("spin", "other", "--", "/bin/sleep", "infinity")
    lab.home1.write("/etc/polkit-1/rules.d/50-mallory.rules", """polkit.addRule(function(action, subject) {
        if (subject.user == "mallory" && action.id == "org.p2prc1.kill" && action.lookup("verb") == "restart" &&
            action.lookup("process") == "victim")
            return polkit.Result.YES;
    });""")
    number = info(lab.home1, "victim")["id"]
    wait_until(lambda: lab.home1.p2prc("restart", "victim", check=False, user="mallory").code == 0, 30, "the rule to be read")
    assert lab.home1.p2prc("restart", str(number), check=False, user="mallory").code == 0
    for words in (["restart", "other"], ["stop", "victim"], ["kill", "victim"]):
        refused = lab.home1.p2prc(*words, check=False, user="mallory")
        assert refused.code == 4, (words, refused)
    lab.home1.run("rm /etc/polkit-1/rules.d/50-mallory.rules")
    lab.home1.p2prc("kill", "other")


def test_who_has_no_agent_is_asked_at_the_terminal(lab):
    # As over ssh, with a session of systemd-logind: polkit asks such an agent for nobody else.
    asked = lab.home1.run(["runuser", "-l", "mallory", "-c", "timeout 20 script -qec 'p2prc kill victim' /dev/null"], check=False,
                          input="wrong\n")
    assert "AUTHENTICATING FOR org.p2prc1.kill" in asked.out, asked
    assert "Authentication is required to kill process 'victim' on home1" in asked.out, asked
    assert not lab.home1.ok("pgrep pkttyagent")
    # A script is told at once.
    refused = lab.home1.p2prc("kill", "victim", check=False, user="mallory")
    assert refused.code == 4 and "AUTHENTICATING" not in refused.out + refused.err, refused


def test_every_call_is_answered(lab):
    # A text that is cut in the middle of a character, in an error.
    long_name = "a" * 299 + "é"
    for words in (["map-domain", long_name, "victim"], ["nodes", "rm", "a" * 99 + "é"], ["info", long_name], ["kill", long_name]):
        answer = lab.home1.p2prc(*words, check=False, timeout=60)
        assert answer.code in (3, 4, 7), (words, answer)
    lab.home1.p2prc("kill", "victim")

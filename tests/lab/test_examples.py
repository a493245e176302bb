"""The process files of examples/: what their first lines say is typed, and their clients speak with them as from outside."""

import os
import re
import signal

from lab import host, wait_until
from lab.household import info, wait_state
from lab.machine import together

MACHINES = ["root", "acme", "client", "home1"]
HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = f"{HERE}/../../examples"

RUN = ["calendar", "chat", "game", "java-server", "static-site", "syncthing", "voice", "website", "wsgi"]
ON_THE_ROOT = ["game"]

EVENT = "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test", "BEGIN:VEVENT", "UID:one", "DTSTAMP:20260101T000000Z",
                   "DTSTART:20260102T100000Z", "SUMMARY:Dentist", "END:VEVENT", "END:VCALENDAR", ""])

APPLICATION = '''
import os

import psycopg2


def application(environ, start_response):
    with open(os.environ["CREDENTIALS_DIRECTORY"] + "/database", encoding="utf-8") as file:
        database = psycopg2.connect(file.read().strip())
    with database, database.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
        if environ["REQUEST_METHOD"] == "POST":
            cursor.execute("INSERT INTO notes VALUES (%s)", (environ["wsgi.input"].read().decode(),))
        cursor.execute("SELECT text FROM notes")
        notes = [text for text, in cursor.fetchall()]
    database.close()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(notes).encode()]
'''

SERVER = """
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

class Server {
    public static void main(String[] arguments) throws Exception {
        var address = new InetSocketAddress(System.getenv("SERVER_ADDRESS"), Integer.parseInt(System.getenv("SERVER_PORT")));
        var server = HttpServer.create(address, 0);
        server.createContext("/", exchange -> {
            byte[] answer = "from the jar".getBytes();
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }
}
"""


def text_of(name):
    with open(f"{EXAMPLES}/{name}.toml", encoding="utf-8") as file:
        return file.read()


def lines_of(name):
    """The commands in the first lines of a file."""
    return re.findall(r"^#   (.*)", text_of(name), re.M)


def wanted(names):
    """The Debian packages that those files name."""
    return sorted({package for name in names for line in lines_of(name) for packages in re.findall(r"apt install ([^;]*)", line)
                   for package in packages.split()} - {"radicale"})


def setup(lab):
    lab.root.p2prc("init", "--name", "root", "--domain", "home.example", "--public-ip", "203.0.113.10", "--acme", "none")
    lab.home1.p2prc("join", lab.root.p2prc("invite").out.strip())
    lab.client.trust(lab.root.p2prc("fleet", "ca").out)
    with open(f"{HERE}/speak.py", encoding="utf-8") as file:
        lab.client.write("/root/speak.py", file.read())
    packages = {"home1": lab.archive(*wanted(name for name in RUN if name not in ON_THE_ROOT)), "root": lab.archive(*wanted(ON_THE_ROOT)),
                "client": lab.archive("syncthing")}

    def install(machine):
        # The machines have no manuals, and update-alternatives fails where those of Java and PostgreSQL have no directory.
        machine.run("mkdir -p /usr/share/man/man1 /usr/share/man/man7")
        machine.install(packages[machine.name])
    together([lab.machines[name] for name in packages], install)


def spin(lab, name, replace=(), input=None):
    """Types the commands of the file's first lines."""
    machine = lab.root if name in ON_THE_ROOT else lab.home1
    machine.write(f"/root/{name}.toml", text_of(name))
    for line in lines_of(name):
        line = re.sub(r"^apt install [^;]*;? *", "", line).replace("sudo -u postgres", "runuser -u postgres --")
        for old, new in replace:
            line = line.replace(old, new)
        machine.run(f"cd /root && {line or 'true'}", timeout=120, input=input)


def curl(lab, url, *options):
    return lab.client.run(["curl", "-sS", "--fail", "--max-time", "20", *options, url], check=False)


def code(lab, url, *options):
    return lab.client.run(["curl", "-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", *options, url], check=False).out


def says(lab, url, text, *options):
    wait_until(lambda: text in curl(lab, url, *options).out, 60, f"{url} to say {text}")


def speak(lab, *words, check=True):
    return lab.client.run(["python3", "/root/speak.py", *words], check=check)


def live(lab, domain):
    wait_until(lambda: {row["domain"]: row["state"] for row in lab.home1.json("domains")}.get(domain) == "live", 60, f"{domain} to be live")


def test_calendar(lab):
    spin(lab, "calendar", [("-apr1", "-apr1 secret")])
    url = "https://calendar.home.example/alice/"
    alice = ["-u", "alice:secret"]
    wait_until(lambda: code(lab, url, "-X", "PROPFIND", "-H", "Depth: 0", *alice) == "207", 60, "alice to be let in")
    assert code(lab, url, "-X", "PROPFIND", "-H", "Depth: 0", "-u", "alice:wrong") == "401"
    assert code(lab, f"{url}days/", "-X", "MKCALENDAR", *alice) == "201"
    lab.client.write("/root/one.ics", EVENT)
    assert code(lab, f"{url}days/one.ics", "-T", "/root/one.ics", "-H", "Content-Type: text/calendar", *alice) == "201"
    assert "SUMMARY:Dentist" in curl(lab, f"{url}days/one.ics", *alice).out


def test_website(lab):
    lab.home1.write("/root/site/index.html", "<h1>ours</h1>")
    spin(lab, "website")
    says(lab, "https://www.home.example/", "ours")


def test_static_site(lab):
    lab.home1.write("/root/site/index.html", "<h1>small</h1>")
    spin(lab, "static-site")
    says(lab, "https://static.home.example/", "small")
    assert code(lab, "https://static.home.example/nothing") == "404"


def test_wsgi(lab):
    lab.home1.write("/root/app.py", APPLICATION)
    spin(lab, "wsgi", [("PASSWORD", "secret")], input="secret\nsecret\n")
    says(lab, "https://app.home.example/", "milk", "-d", "milk")
    lab.home1.p2prc("restart", "wsgi", timeout=120)
    says(lab, "https://app.home.example/", "milk bread", "-d", "bread")


def test_java_server(lab):
    lab.home1.write("/root/Server.java", SERVER)
    # Debian's package of the runtime has the modules of compiler and archiver, without their commands.
    lab.home1.run("cd /root && java -m jdk.compiler/com.sun.tools.javac.Main -d classes Server.java && "
                  "java -m jdk.jartool/sun.tools.jar.Main -c -f server.jar -e Server -C classes .", timeout=120)
    spin(lab, "java-server")
    says(lab, "https://java.home.example/", "from the jar")
    # Java ends with status 143 when it is asked to.
    lab.home1.p2prc("stop", "java-server")
    assert info(lab.home1, "java-server")["state"] == "stopped"


def test_chat(lab):
    spin(lab, "chat")
    live(lab, "chat.home.example")
    talk = ["xmpp", "chat.home.example", "443", "alice"]
    assert speak(lab, *talk, "secret", "hello").out == "hello\n"
    assert "not authorized" in speak(lab, *talk, "wrong", "hello", check=False).err
    # A user is there once, and another who is added later comes with the next start.
    lab.home1.run("echo bob:two words >>/etc/p2prc/chat-users")
    lab.home1.p2prc("restart", "chat", timeout=120)
    wait_until(lambda: speak(lab, "xmpp", "chat.home.example", "443", "bob", "two words", "here", check=False).out == "here\n", 60, "bob to be let in")
    assert speak(lab, *talk, "secret", "again").out == "again\n"


def test_voice(lab):
    spin(lab, "voice")
    assert "SuperUser" in lab.home1.p2prc("logs", "voice").out
    live(lab, "voice.home.example")
    assert speak(lab, "mumble", "voice.home.example", "443", "alice").out == "Root\n"


def test_game(lab):
    spin(lab, "game")
    assert int(speak(lab, "minetest", "home.example", "30000").out) >= 37


def test_syncthing(lab):
    spin(lab, "syncthing")
    url = "https://sync.home.example"
    wait_until(lambda: code(lab, f"{url}/", "-u", "alice:secret") == "200", 60, "its web interface to be shown")
    assert code(lab, f"{url}/") == "401"
    # At home, other devices find its port; this one has not been introduced, and shows its certificate all the same.
    said = host.call("ip", "netns", "exec", lab.network.namespace("router1"), "sh", "-c",
                     "echo | openssl s_client -connect 192.168.1.10:22000 -alpn bep/1.0 2>&1 || true")
    assert "CN = syncthing" in said and "ALPN protocol: bep/1.0" in said, said
    # And a phone on the public side has its photos kept at home.
    phone = lab.client.popen("exec syncthing serve --no-browser --no-default-folder --home=/root/phone >/root/phone.log 2>&1")
    try:
        keys = [lab.home1.run("grep -oP '<apikey>\\K[^<]*' /var/lib/p2prc-data/syncthing/config.xml").out.strip(),
                wait_until(lambda: lab.client.run("grep -oP '<apikey>\\K[^<]*' /root/phone/config.xml", check=False).out.strip(), 60, "the phone's key")]
        sides = [(url, keys[0]), ("http://127.0.0.1:8384", keys[1])]

        def ask(side, path, *options):
            return lab.client.run(["curl", "-sS", "--fail", "--retry", "20", "--retry-connrefused", "--max-time", "20", "-H", f"X-API-Key: {side[1]}",
                                   *options, f"{side[0]}/rest/{path}"])
        ids = [ask(side, "system/status").json()["myID"] for side in sides]
        for side, other, addresses, path in ((sides[0], ids[1], '["tcp://203.0.113.20:22000"]', "~/photos"), (sides[1], ids[0], '["dynamic"]', "/root/photos")):
            ask(side, f"config/devices/{other}", "-X", "PUT", "-d", f'{{"deviceID": "{other}", "addresses": {addresses}}}')
            ask(side, "config/folders/photos", "-X", "PUT", "-d", f'{{"id": "photos", "path": "{path}", "devices": [{{"deviceID": "{other}"}}]}}')
        wait_until(lambda: ask(sides[1], "system/connections").json()["connections"][ids[0]]["connected"], 90, "the two to be connected")
        lab.client.write("/root/photos/cat.txt", "meow")
        ask(sides[1], "db/scan?folder=photos", "-X", "POST")
        wait_until(lambda: lab.home1.run("cat /var/lib/p2prc-data/syncthing/photos/cat.txt", check=False).out == "meow", 90, "the photo to be at home")
    finally:
        os.killpg(phone.pid, signal.SIGKILL)


def test_all_run_on_after_a_power_cut(lab):
    """What a household counts on."""
    lab.home1.power_cut()
    lab.home1.boot()
    for name in RUN:
        if name not in ON_THE_ROOT and name != "java-server":
            wait_state(lab.home1, name, "running", 120)
    says(lab, "https://app.home.example/", "milk bread")
    wait_until(lambda: speak(lab, "xmpp", "chat.home.example", "443", "alice", "secret", "still", check=False).out == "still\n", 60, "chat to answer")


def test_the_others_are_taken(lab):
    """Debian does not have their programs."""
    for name in sorted(os.listdir(EXAMPLES)):
        if not name.endswith(".toml") or name[:-5] in RUN:
            continue
        assert "NOT RUN" in text_of(name[:-5]).splitlines()[0], name
        lab.home1.write(f"/root/{name}", text_of(name[:-5]))
        result = lab.home1.run(["p2prc", "spin", f"/root/{name}", "--dry-run"], check=False)
        assert result.code == 0, (name, result)

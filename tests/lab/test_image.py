"""Container images without an engine, and processes with a root of their own: with images that umoci makes here, without the Internet."""

import json

from lab import wait_until
from lab.household import deployers, info, make_fleet, trust_fleet, wait_https

MACHINES = ["root", "client", "acme", "home1", "home2"]

MAKE = r"""
set -e
rm -rf /root/made && mkdir /root/made && cd /root/made
umoci init --layout l && umoci new --image l:x && umoci unpack --image l:x b
r=b/rootfs; mkdir -p $r/bin $r/data $r/app
cp /bin/busybox $r/bin/busybox
for name in sh cat id touch sleep mkdir httpd; do ln -s busybox $r/bin/$name; done
cp /bin/busybox $r/bin/su; chmod 4755 $r/bin/su
echo seed >$r/data/index.html; chmod 0700 $r/data; chmod 0600 $r/data/index.html
printf '#!/bin/sh\necho "$GREETING from $PWD" >/data/said; id -u >/data/id; touch /escaped 2>/dev/null && exit 9\nexec /bin/httpd -f -p 127.0.0.1:8500 -h /data\n' >$r/app/start
chmod 0700 $r/app/start
umoci repack --image l:x b
umoci config --image l:x --config.entrypoint ./start --config.env GREETING=hello --config.env PORT=1 --config.workingdir /app --config.volume /data --config.volume /data/in
tar -cf /srv/x.tar -C l .
"""


# A registry with a certificate of its own.
REGISTRY = r"""
set -e
cd /etc/docker/registry
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj "/CN=registry" -addext "subjectAltName=IP:203.0.113.20" \
    -keyout key.pem -out cert.pem 2>/dev/null
chown docker-registry key.pem
cat >config.yml <<END
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}
http: {addr: ":5000", tls: {certificate: /etc/docker/registry/cert.pem, key: /etc/docker/registry/key.pem}}
END
systemctl restart docker-registry
"""
AT = "docker://203.0.113.20:5000"


def setup(lab):
    for machine in (lab.home1, lab.home2):
        machine.install(lab.archive("skopeo", "umoci", "busybox-static"))
        machine.run(MAKE)


def spin(machine, name, strategy, script, run="", node=None, port=None, check=True):
    text = f'name = "{name}"\n' + (f"port = {port}\n" if port else "") + f'[deploy]\nstrategy = "{strategy}"\nscript = {json.dumps(script)}\n[run]\n{run}\n'
    machine.write(f"/root/{name}.toml", text)
    return machine.p2prc("spin", f"/root/{name}.toml", "--timeout", "3m", *(["--node", node] if node else []), check=check, timeout=200)


def test_an_image_serves_with_its_volume(lab):
    spin(lab.home1, "wiki", "image", "oci-archive:/srv/x.tar\n", port=8500)
    data = "/var/lib/p2prc-data/wiki/data"
    assert lab.home1.run(f"cat {data}/said").out == "hello from /app\n"
    assert lab.home1.run(f"cat {data}/index.html").out == "seed\n"
    assert int(lab.home1.run(f"cat {data}/id").out) >= 61184
    assert lab.home1.run(["curl", "-s", "http://127.0.0.1:8500/"]).out == "seed\n"
    assert lab.home1.run("find /var/lib/p2prc-deploy -perm /6000").out == ""
    assert lab.home1.run("ls -d /var/lib/p2prc-deploy/.builder/wiki.*", check=False).code != 0
    pid = lab.home1.unit("p2prc-wiki.service")["MainPID"]
    assert lab.home1.run(f"ls /proc/{pid}/root/run/p2prc-deploy").out == "rootfs\n"
    assert "nameserver" in lab.home1.run(f"cat /proc/{pid}/root/etc/resolv.conf").out


def test_its_data_stays_and_its_files_are_shared(lab):
    spin(lab.home1, "twin", "image", "oci-archive:/srv/x.tar", run='command = ["/bin/sleep", "infinity"]')
    assert lab.home1.run("ls -A /var/lib/p2prc-data/twin/").code == 0  # which systemd does not link to
    inodes = lab.home1.run("stat -c %i /var/lib/p2prc-deploy/*/*/rootfs/bin/busybox").out.split()
    assert len(inodes) == 2 and len(set(inodes)) == 1, inodes
    lab.home1.run("echo changed >/var/lib/p2prc-data/wiki/data/index.html")
    lab.home1.p2prc("restart", "wiki", timeout=120)
    lab.home1.reboot()
    wait_until(lambda: info(lab.home1, "wiki")["ready"], 90, "wiki to be ready after a boot")
    assert lab.home1.run(["curl", "-s", "http://127.0.0.1:8500/"]).out == "changed\n"


def test_what_is_no_image(lab):
    for name, script, words in (("file", "dir:/etc", "is neither docker://NAME nor oci-archive:/PATH"), ("gone", "oci-archive:/srv/none.tar", "no such file"),
                                ("more", "oci-archive:/srv/x.tar\necho\n", "the script is one reference")):
        refused = spin(lab.home1, name, "image", script, check=False)
        assert refused.code == 1 and "deploy-failed at exit 1" in refused.err and words in refused.err, refused
    refused = spin(lab.home1, "empty", "image", "oci-archive:/srv/x.tar", run="data = false", check=False)
    assert refused.code == 1 and "VOLUME data is kept in the process's data, and it has none" in refused.err, refused


def test_hostile_roots(lab):
    sleep = 'command = ["/bin/sleep", "infinity"]'
    for name, script, words in (
            ("link", "ln -s / r; echo ROOT=r >.p2prc", "a link on its way"), ("up", "echo ROOT=../.. >.p2prc", "leads out of the directory"),
            ("far", "echo ROOT=/etc >.p2prc", "is an absolute path"),
            ("volume", "mkdir r; ln -s /etc r/a; printf 'ROOT=r\\nVOLUME=a/b\\n' >.p2prc", "deploy-failed at result"),
            ("place", "mkdir r; printf 'ROOT=r\\nVOLUME=proc\\n' >.p2prc", "the system needs that place itself")):
        refused = spin(lab.home1, name, "script", script, run=sleep, check=False)
        assert refused.code == 1 and "deploy-failed at result" in refused.err and words in refused.err, refused


def test_no_other_builder_can_exchange_what_is_shown(lab):
    lab.home1.write("/etc/p2prc/deployers/nested", "#!/bin/sh -e\nmkdir -p a/b/bin a/b/lib; cp /bin/busybox a/b/bin/sleep; chmod -R go+rwX .; "
                                                   "printf 'ROOT=a/b\\nNOTE=x\\n' >.p2prc\n")
    lab.home1.write("/etc/p2prc/deployers/nested.toml", 'as = "builder"\n')
    lab.home1.run("chmod 0755 /etc/p2prc/deployers /etc/p2prc/deployers/nested")
    spin(lab.home1, "nested", "nested", "x", run='command = ["/bin/sleep", "infinity"]')
    place = lab.home1.run("ls -d /var/lib/p2prc-deploy/nested/*").out.strip()
    for path in ("", "/a", "/a/b", "/.p2prc"):
        mode = lab.home1.run(["stat", "-c", "%U %A", place + path]).out.split()
        assert mode[0] == "root" and mode[1][5] == mode[1][8] == "-", (path, mode)
    for command in (f"mv {place}/a/b {place}/a/c", f"ln -s / {place}/a/d", f"rmdir {place}/a/b/lib", f"touch {place}/.p2prc"):
        assert lab.home1.run(["runuser", "-u", "p2prc-deploy", "--", "sh", "-c", command], check=False).code != 0, command
    lab.home1.p2prc("kill", "nested")


def test_a_jail(lab):
    lab.home1.run("mkdir -p /srv/jail/bin && cp /bin/busybox /srv/jail/bin/sh")
    lab.home1.write("/root/jail.toml", 'name = "jail"\n[run]\nroot = "/srv/jail"\ncommand = ["/bin/sh", "-c", "echo / /* >said; exec sleep 1000000"]\n')
    lab.home1.p2prc("spin", "/root/jail.toml", timeout=120)
    said = lab.home1.run("cat /var/lib/p2prc-data/jail/said").out.split()
    assert "/bin" in said and "/boot" not in said, said
    lab.home1.write("/root/kill.toml", 'name = "kill"\n[run]\nroot = "/srv/jail"\ncommand = ["/bin/sh"]\nkill = ["/bin/sh"]\n')
    assert lab.home1.p2prc("spin", "/root/kill.toml", check=False).code == 7


def test_images_that_nobody_uses_go(lab):
    cache = "/var/lib/p2prc-deploy/.builder/cache/image"
    # What a deployer that was ended has left.
    lab.home1.run(f"runuser -u p2prc-deploy -- sh -c 'mkdir {cache}/new.abcdef && head -c 3000000 /dev/urandom >{cache}/new.abcdef/layer'")
    used = set(lab.home1.run(f"ls {cache}").out.split()) - {"new.abcdef"}
    assert len(used) == 1, used
    removed = json.loads(lab.home1.p2prc("deploy", "--clean", "-o", "json", timeout=120).out)
    assert removed["bytes"] > 2_900_000 and set(lab.home1.run(f"ls {cache}").out.split()) == used, removed
    lab.home1.p2prc("restart", "wiki", timeout=120)
    lab.home1.p2prc("kill", "wiki")
    removed = json.loads(lab.home1.p2prc("deploy", "--clean", "-o", "json", timeout=120).out)
    assert removed["results"] == 1 and removed["bytes"] < 500_000, removed
    assert set(lab.home1.run(f"ls {cache}").out.split()) == used, "twin has it, too"
    lab.home1.p2prc("kill", "twin")
    removed = json.loads(lab.home1.p2prc("deploy", "--clean", "-o", "json", timeout=120).out)
    assert lab.home1.run(f"ls -A {cache}").out == ""
    assert removed["bytes"] > 500_000, removed


def test_an_image_says_no_program(lab):
    lab.home1.run("cp -a /root/made/l /root/evil && umoci config --image /root/evil:x --config.workingdir 'a:;e touch /tmp/owned; touch $CACHE_DIRECTORY/owned #' && "
                  "tar -cf /srv/evil.tar -C /root/evil .")
    refused = spin(lab.home1, "evil", "image", "oci-archive:/srv/evil.tar", check=False)
    assert refused.code == 1 and "characters that cannot be used here" in refused.err, refused
    assert not lab.home1.ok("test -e /var/lib/p2prc-deploy/.builder/cache/image/owned")
    lab.home1.p2prc("kill", "evil")


def test_policies_of_other_nodes(lab):
    make_fleet(lab, "home1", "home2")
    wait_until(lambda: "image" in deployers(lab.home1, "home2"), 60, "home2 to tell of its deployers")
    refused = spin(lab.home1, "distant", "image", "docker://registry.invalid/x:1", node="home2", check=False)
    assert refused.code != 0 and "the deployer 'image'" in refused.err and "[remote] deployers" in refused.err, refused
    lab.home2.write("/etc/p2prc/p2prcd.toml.d/remote.toml", '[remote]\ndeployers = ["image"]\n')
    lab.home2.run("systemctl reload p2prcd")
    wait_until(lambda: deployers(lab.home1, "home2")["image"]["admitted"], 60, "home2 to tell of its settings")
    refused = spin(lab.home1, "archive", "image", "oci-archive:/srv/x.tar", node="home2", check=False)
    assert "for processes that are spun on its machine" in refused.err, refused


# --- from a registry

def push(machine, tag):
    """Puts the image of MAKE there, with words of its own, so that its digest is another one."""
    machine.run(f"umoci config --image /root/made/l:x --config.env GREETING={tag} && "
                f"skopeo --insecure-policy copy --quiet oci:/root/made/l:x {AT}/wiki:latest", timeout=120)


def said(machine, name):
    return machine.run(f"cat /var/lib/p2prc-data/{name}/data/said").out


def test_it_is_pulled_from_a_registry(lab):
    lab.client.install(lab.archive("docker-registry"))
    lab.client.run(REGISTRY)
    certificate = lab.client.read("/etc/docker/registry/cert.pem")
    for machine in (lab.home1, lab.home2):
        machine.trust(certificate)
    wait_until(lambda: lab.home1.run("curl -sf https://203.0.113.20:5000/v2/", check=False).code == 0, 60, "the registry to answer")
    push(lab.home1, "first")
    spin(lab.home1, "pulled", "image", f"{AT}/wiki:latest", port=8500)
    assert said(lab.home1, "pulled") == "first from /app\n"


def test_a_tag_that_moves_does_not_change_what_runs(lab):
    push(lab.home1, "second")
    lab.home1.p2prc("restart", "pulled", timeout=120)
    lab.home1.reboot()
    wait_until(lambda: info(lab.home1, "pulled")["ready"], 90, "it to be ready after a boot")
    assert said(lab.home1, "pulled") == "first from /app\n"
    # What is asked for anew is what the tag is by now; going back, what it was, from the disk.
    lab.home1.p2prc("deploy", "--again", "pulled", timeout=180)
    assert said(lab.home1, "pulled") == "second from /app\n"
    lab.client.run("systemctl stop docker-registry")
    lab.home1.p2prc("rollback", "pulled", "1", timeout=180)
    assert said(lab.home1, "pulled") == "first from /app\n"
    lab.home1.p2prc("kill", "pulled")


def test_a_registry_that_is_away(lab):
    waiting = beside(lab.home1, "later", f"{AT}/wiki:latest")
    wait_until(lambda: "not now" in (info(lab.home1, "later")["waits_for"] or ""), 90, "it to be tried again")
    lab.client.run("systemctl start docker-registry")
    assert waiting.wait(timeout=180) == 0
    assert said(lab.home1, "later") == "second from /app\n"
    lab.home1.p2prc("kill", "later")


def test_another_node_that_admits_the_deployer_pulls_it_itself(lab):
    spin(lab.home1, "distant", "image", f"{AT}/wiki:latest", node="home2", port=8500)
    assert info(lab.home1, "distant")["node"] == "home2"
    assert said(lab.home2, "distant") == "second from /app\n"
    lab.home1.p2prc("kill", "distant")


# --- what is in its way

# It takes connections, and says nothing.
STALL = "socket.create_server((\"\", 5001), backlog=64); time.sleep(3600)"


def beside(machine, name, script):
    """Spins it beside the test."""
    machine.write(f"/root/{name}.toml", f'name = "{name}"\nport = 8500\n[deploy]\nstrategy = "image"\nscript = {json.dumps(script)}\n')
    return machine.popen(["p2prc", "spin", f"/root/{name}.toml", "--timeout", "3m"])


def wait_pulling(machine):
    # After a boot it may find no network twice: it is tried again after 30 seconds, and after 60.
    return wait_until(lambda: machine.run(["pgrep", "-u", "p2prc-deploy", "skopeo"], check=False).out.split(), 150, "skopeo to run")


def nothing_is_left(machine, name):
    wait_until(lambda: not machine.run(["pgrep", "-u", "p2prc-deploy"], check=False).out, 30, "the builder's processes to end")
    assert machine.run(f"ls -d /var/lib/p2prc-deploy/{name}/* /var/lib/p2prc-deploy/.builder/{name}.*", check=False).out == ""


def test_a_stop_ends_it(lab):
    lab.client.run(["systemd-run", "--quiet", "--unit", "stall", "python3", "-c", f"import socket, time; s = {STALL}"])
    spinning = beside(lab.home1, "stalled", "docker://203.0.113.20:5001/x:1")
    wait_pulling(lab.home1)
    lab.home1.p2prc("stop", "stalled", timeout=120)
    assert spinning.wait(timeout=60) != 0
    assert info(lab.home1, "stalled")["reason"]["kind"] == "stopped"
    nothing_is_left(lab.home1, "stalled")


def test_a_power_cut_begins_it_anew(lab):
    starting = lab.home1.popen(["p2prc", "start", "stalled"])
    wait_pulling(lab.home1)
    lab.home1.power_cut()
    starting.wait(timeout=60)
    lab.home1.boot()
    wait_pulling(lab.home1)
    assert info(lab.home1, "stalled")["state"] == "deploying"
    lab.home1.p2prc("kill", "stalled", timeout=120)
    nothing_is_left(lab.home1, "stalled")


def test_a_disk_without_room(lab):
    cache = "/var/lib/p2prc-deploy/.builder/cache/image"
    lab.home1.run(f"mount -t tmpfs -o size=256k,mode=0755,uid=p2prc-deploy,gid=p2prc-deploy small {cache}")
    refused = spin(lab.home1, "large", "image", "oci-archive:/srv/x.tar", port=8500, check=False)
    assert refused.code == 1 and "deploy-failed at exit 1" in refused.err and "no space left on device" in refused.err.lower(), refused
    nothing_is_left(lab.home1, "large")
    assert lab.home1.run(f"ls {cache}").out == ""
    lab.home1.run(f"umount {cache}")
    lab.home1.p2prc("start", "large", timeout=120)
    assert info(lab.home1, "large")["state"] == "running"
    lab.home1.p2prc("kill", "large")


def test_it_is_served_through_the_edge(lab):
    trust_fleet(lab, lab.client)
    lab.home1.write("/root/served.toml", 'name = "served"\nport = 8500\ndomain = "served.home.example"\n[deploy]\nstrategy = "image"\nscript = "oci-archive:/srv/x.tar"\n')
    lab.home1.p2prc("spin", "/root/served.toml", "--timeout", "3m", timeout=200)
    wait_https(lab.client, "served.home.example", "seed", timeout=60)

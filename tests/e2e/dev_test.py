"""dev: `certmill dev` as people meet it: sentences for what cannot start, odd folders, other users, what is printed and pasted, Ctrl-C and worse."""
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from certmill import BIN, Dev, ENVIRON, check, free_ports

CERTMILL = os.path.join(BIN, "certmill")
ISSUED = "issued in "


class Place:
    """A folder for states, and ports that nobody uses."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="certmill-dev-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.base = free_ports(20)

    def command(self, state, *options):
        return [CERTMILL, "dev", "--state", os.path.join(self.dir, state), "--listen", f"127.0.0.1:{self.base}", "--http-port", str(self.base + 9), "--tls-alpn-port", str(self.base + 8), "--private-port", str(self.base + 10), *options]

    def run(self, state, *options, user=None, **env):
        command = self.command(state, *options)
        if user:
            command = ["setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups", *command]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, env=dict(ENVIRON, **env))

    def sentence(self, want, state, *options, code=1, **more):
        """It ends with that exit code, and what it says last, after its progress, is one line that has the words."""
        done = self.run(state, *options, **more)
        said = [line for line in done.stderr.splitlines() if line.startswith("certmill dev: ")]
        check(done.returncode == code and len(said) == 1 and re.search(want, said[0]), f"{options}: {done.returncode}\n{done.stdout}{done.stderr}")
        if code == 1:
            check(done.stderr.splitlines() == said, f"not one sentence:\n{done.stderr}")
        return done

    def leftovers(self):
        """Processes that name this place in their command line."""
        out = subprocess.run(["ps", "axwwo", "pid=,args="], capture_output=True, text=True, check=True).stdout
        return [line for line in out.splitlines() if self.dir in line and "dev_test" not in line]

    def gone(self, what):
        deadline = time.monotonic() + 30
        while self.leftovers():
            check(time.monotonic() < deadline, f"{what} left behind: {self.leftovers()}")
            time.sleep(0.1)


def command_line(place):
    for options, want in (
        (["--listen", "14000"], r'--listen: "14000" is no address and port; expected'),
        (["--listen", "localhost:14000"], r"--listen: .* expected one such as 127\.0\.0\.1:14000"),
        (["--listen", "127.0.0.1:99999"], r"--listen: "),
        (["--fronts", "5"], r'--fronts: expected 1 to 4; got "5"'),
        (["--fronts", "2x"], r"--fronts: expected 1 to 4"),
        (["--http-port", "0"], r"--http-port: expected a port"),
        (["--http-port", str(place.base)], r"--http-port: \d+ is a port that certmill itself listens on"),
        (["--tls-alpn-port", "65536"], r"--tls-alpn-port: expected a port"),
        (["--tls-alpn-port", str(place.base + 10)], r"--tls-alpn-port: \d+ is a port that certmill itself listens on"),
        (["--private-port", str(place.base)], r"--private-port: .* overlap"),
        (["--listen", "127.0.0.1:65535", "--fronts", "2"], r"--listen: .* do not fit below 65536"),
        (["--private-port", "65530"], r"--private-port: .* do not fit below 65536"),
        (["--colour"], r"there is no option --colour"),
        (["--state"], r"--state needs a value"),
        (["more"], r'"more" is not expected here'),
    ):
        done = place.sentence(want, "never", *options, code=2)
        check("usage: certmill dev" in done.stderr, done.stderr)
    check(not os.path.exists(os.path.join(place.dir, "never")), "a wrong command line made a state")


def ports(place):
    """What others hold is told before anything is started, with the option that helps."""
    for offset, option in ((0, "--listen"), (10, "--private-port"), (14, "--private-port"), (15, "--private-port"), (16, "--private-port"), (20, "--private-port"), (9, "--http-port")):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", place.base + offset))
            s.listen()
            place.sentence(rf"127\.0\.0\.1:{place.base + offset} is in use by another program; stop it, or choose another with {option}$", "ports", "--once")
    place.sentence(r"192\.0\.2\.1:\d+ cannot be listened on: .*choose another with --listen$", "ports", "--listen", f"192.0.2.1:{place.base}")


def folders(place):
    """States in places that cannot be, or that are somebody else's."""
    full, file, foreign, open_ = (os.path.join(place.dir, n) for n in ("full", "file", "foreign", "open"))
    for folder in (full, foreign, open_):
        os.mkdir(folder)
    for name in (file, os.path.join(full, "thesis.txt")):
        with open(name, "w", encoding="utf-8") as f:
            f.write("precious\n")
    os.chmod(open_, 0o777)
    place.sentence("holds files that are not from `certmill dev`; choose another folder with --state$", "full")
    check(os.listdir(full) == ["thesis.txt"], "a foreign folder was written to")
    place.sentence("Not a directory; choose another folder with --state$", "file")
    place.sentence("cannot be made: .*; choose another folder with --state$", "/proc/certmill")
    place.sentence("can be written by everybody; run chmod o-w on it", "open")
    place.sentence("is longer than|--state: expected a path|File name too long", "x" * 300)
    if os.geteuid() != 0:
        place.sentence("cannot be made: Permission denied; choose another folder with --state$", "/certmill-dev")
        return
    os.chown(foreign, 65534, 65534)
    place.sentence("belongs to nobody; start as that user, or choose another folder with --state$", "foreign")
    closed = os.path.join(place.dir, "closed")
    os.mkdir(closed, 0o700)
    place.sentence(r"closed is closed to the user \w+, as whom PostgreSQL runs because it refuses to run as root; choose another folder with --state$", "closed/state")
    check(os.listdir(closed) == [], "something was made where PostgreSQL cannot get to")


def given_ca(place):
    """A CA that was made beforehand, as an operator would, is taken as it is."""
    state = os.path.join(place.dir, "given")
    os.mkdir(state)
    passphrase = os.path.join(state, "passphrase")
    with open(passphrase, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
        f.write("a passphrase for tests\n")
    made = subprocess.run([CERTMILL, "init", "--dir", os.path.join(state, "signer"), "--passphrase-file", passphrase, "--name", "Given"], capture_output=True, text=True, env=ENVIRON)
    check(made.returncode == 0, made.stderr)
    done = place.run("given", "--once")
    check(done.returncode == 0 and "issuer     CN=Given Issuing CA 1" in done.stdout, done.stdout + done.stderr)


def postgres(place):
    """PostgreSQL's programs are missing, too old, or not those that made the data."""
    place.sentence("PG_BINDIR names /nowhere, where initdb, postgres or pg_isready is missing; name the folder", "pg", PG_BINDIR="/nowhere")
    old = os.path.join(place.dir, "old")
    os.mkdir(old)
    for program in ("initdb", "postgres", "pg_isready"):
        with open(os.path.join(old, program), "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\necho 'postgres (PostgreSQL) 14.1'\n")
        os.chmod(f.name, 0o755)
    place.sentence("has PostgreSQL 14; install PostgreSQL 15 or newer", "pg", PG_BINDIR=old)
    made = os.path.join(place.dir, "pg", "postgres")
    os.mkdir(made)
    with open(os.path.join(made, "PG_VERSION"), "w", encoding="utf-8") as f:
        f.write("14\n")
    place.sentence(r"was made by PostgreSQL 14, and \S+ has PostgreSQL \d+; install postgresql-14, or start anew", "pg")


def odd_paths(place):
    """A state whose path needs quoting everywhere, one too long for a socket, and what a start that was cut short has left."""
    odd = "it's \"odd\" #1: $HOME, {a: b}"
    long = "l" * 120
    os.makedirs(os.path.join(place.dir, long, "postgres.new", "base"))
    with open(os.path.join(place.dir, long, "lock"), "w", encoding="utf-8"):
        pass
    for state in (odd, long):
        done = place.run(state, "--once")
        check(done.returncode == 0 and ISSUED in done.stdout, f"{state}: {done.stdout}{done.stderr}")
    folder = os.stat(os.path.join(place.dir, long))
    apart = f"/tmp/certmill-dev-{folder.st_dev:x}-{folder.st_ino:x}"
    check(not os.path.exists(apart), f"{apart} is left behind")
    os.mkdir(os.path.join(place.dir, "victim"))
    os.symlink(os.path.join(place.dir, "victim"), apart)
    try:
        before = os.stat(os.path.join(place.dir, "victim"))
        place.sentence("is not a folder of ours alone; remove it, or choose another folder with --state$", long, "--once")
        after = os.stat(os.path.join(place.dir, "victim"))
        check((before.st_uid, before.st_mode) == (after.st_uid, after.st_mode), "a link in /tmp was followed")
    finally:
        os.unlink(apart)


def addresses(place):
    """Other addresses of this machine: the server's certificate names the one that the CA was made with."""
    with socket.socket(socket.AF_INET6) as s:
        try:
            s.bind(("::1", 0))
            hosts = ["127.0.0.7", "[::1]", "0.0.0.0"]
        except OSError:
            hosts = ["127.0.0.7", "0.0.0.0"]
    for host in hosts:
        done = place.run("other-address", "--listen", f"{host}:{place.base}", "--once")
        check(done.returncode == 0 and ISSUED in done.stdout, f"{host}: {done.stdout}{done.stderr}")
    place.sentence(r"does not name 127\.0\.0\.8, because this state was made for another address; listen on 127\.0\.0\.1, or choose", "other-address", "--listen", f"127.0.0.8:{place.base}")


def last_words(place):
    """A program that cannot start is told of in its own words of this start, not of an earlier one."""
    state = os.path.join(place.dir, "words")
    check(place.run("words", "--once").returncode == 0, "no certificate")
    for name, want in (("signer/issuer-1.key", r"the CA's keys: .*issuer-1\.key"), ("signer/journal", r"the signer: .*journal"), ("signer/acme.key", r"front end 0: .*acme\.key")):
        path = os.path.join(state, name)
        os.rename(path, path + ".away")
        with open(path, "w", encoding="utf-8"):
            pass
        place.sentence(want, "words", "--once")
        os.unlink(path)
        os.rename(path + ".away", path)
    check(place.run("words", "--once").returncode == 0, "the state did not survive")


def another_user(place):
    """As an ordinary user, without a home, from nothing to a certificate."""
    if os.geteuid() != 0 or subprocess.run(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "test", "-x", CERTMILL]).returncode != 0:
        print("another_user: not root, or the programs are closed to others", flush=True)
        return
    os.mkdir(os.path.join(place.dir, "home"))
    os.chown(os.path.join(place.dir, "home"), 65534, 65534)
    done = place.run("home/state", "--once", user="nobody")
    check(done.returncode == 0 and ISSUED in done.stdout, done.stdout + done.stderr)
    place.sentence("belongs to nobody; start as that user", "home/state", "--once")


def pasted(place):
    """The printed commands, pasted as they are into a shell elsewhere, each twice."""
    with Dev() as dev:
        with open(dev.out.name, encoding="utf-8") as f:
            text = f.read()
        block = re.search(r"In another terminal.*?\n\n(.*)\nCtrl-C stops", text, re.S).group(1)
        commands = [c for c in re.split(r"\n\n", block) if c.strip()]
        check([c.split()[1] for c in commands] == ["curl", "lego", "certbot", "eab", "admin"], block)
        env = {k: v for k, v in os.environ.items() if k not in ("LEGO_CA_CERTIFICATES", "REQUESTS_CA_BUNDLE")}
        for command in commands:
            for _ in range(2):
                done = subprocess.run(["sh", "-euc", command], cwd=place.dir, capture_output=True, text=True, timeout=120, env=env)
                check(done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}")
        fingerprint = re.search(r"fingerprint +SHA-256 (\S+)", text).group(1)
        out = subprocess.run(["openssl", "x509", "-in", dev.root, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True, check=True).stdout
        check(out.strip().endswith("=" + fingerprint), f"{out} is not {fingerprint}")
        check("BoringSSL" in text, "the version of BoringSSL is not said")


def interrupted(place, after):
    """Ctrl-C on a terminal, `after` seconds from the start, or when it is ready: exit code, and nothing left behind."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(CERTMILL, place.command("interrupted", *([] if after is None else ["--once"])), ENVIRON)
    out, started, told = b"", time.monotonic(), False
    while time.monotonic() < started + 90:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                out += os.read(terminal, 4096)
            except OSError:
                break
        due = b"\r\nready\r\n" in out if after is None else time.monotonic() > started + after
        if due and not told:
            os.write(terminal, b"\x03")
            told = True
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    words = b"certmill dev: stopped" if after is None or code else ISSUED.encode()
    check(code == (0 if after is None or ISSUED.encode() in out else 1) and words in out, f"after {after}: {code} {out.decode(errors='replace')}")
    place.gone(f"Ctrl-C after {after} s")


def interruptions(place):
    for after in (0.0, 0.3, 1.0, 2.0, 3.0, None):
        interrupted(place, after)
    check(place.run("interrupted", "--once").returncode == 0, "the state did not survive Ctrl-C")


def killed(place):
    """SIGKILL of `certmill dev` ends what it started, too; the state can be used again."""
    dev = Dev(fronts=2)
    dev.start()
    place.dir, keep = dev.dir, place.dir
    try:
        check(len(place.leftovers()) >= 5, str(place.leftovers()))
        dev.process.send_signal(signal.SIGKILL)
        dev.process.wait(10)
        place.gone("SIGKILL")
        dev.start()
        check(dev.stop() == 0, "the state did not survive SIGKILL")
    finally:
        place.dir = keep
        dev.stop()
        shutil.rmtree(dev.dir, ignore_errors=True)


def main():
    parts = (command_line, ports, folders, given_ca, postgres, odd_paths, addresses, last_words, another_user, pasted, interruptions, killed)
    for part in [p for p in parts if p.__name__ in sys.argv[1:]] or parts:
        place = Place()
        try:
            part(place)
            place.gone(part.__name__)
            print(part.__name__ + ": ok", flush=True)
        finally:
            shutil.rmtree(place.dir, ignore_errors=True)


main()

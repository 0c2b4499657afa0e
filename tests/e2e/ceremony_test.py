"""ceremony: what the signer's commands say to wrong input, one clear sentence and an exit code; what the ceremony leaves when it cannot go on; the CA certificates, read by others."""
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from cryptography import x509

from certmill import BIN, ENVIRON, check, free_ports

PROGRAM = os.path.join(BIN, "certmill-signer")
DAY_S = 86400


def signer(*args, cwd, env=None, **more):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=60, cwd=cwd, env=dict(ENVIRON, **(env or {})), **more)


def said(done, code, *words):
    """One sentence for people, on stderr, with these words, and this exit code."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("certmill-signer: ")]
    check(done.returncode == code and len(lines) == 1, f"exit code {done.returncode}, wanted {code}: {done.stdout}{done.stderr}")
    check(all(w in lines[0] for w in words), f"{words}: {lines[0]}")


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def made(folder, name="ca", *options):
    done = signer("ceremony", "--dir", name, "--passphrase-file", "passphrase", *options, cwd=folder)
    check(done.returncode == 0, done.stderr)
    return os.path.join(folder, name)


def ceremony_input(folder):
    """Each wrong option is named, and nothing is left behind."""
    write(os.path.join(folder, "short"), "7 chars\n")
    write(os.path.join(folder, "open"), "long enough, but open\n", 0o644)
    for options, code, words in (
        (("--key-type", "p512"), 2, ('key type "p512" is not known', "rsa4096")),
        (("--root-key-type", "dsa"), 2, ('"dsa" is not known',)),
        (("--server-name", "exa mple"), 2, ('--server-name "exa mple" is neither a DNS name',)),
        (("--server-name", "1.2.3"), 2, ("neither a DNS name in lower case nor an address",)),
        (("--signer-name", "Upper.test"), 2, ('--signer-name "Upper.test"',)),
        (("--permit-dns", ".corp.example"), 2, ("is no DNS suffix", "without a dot in front")),
        (("--permit-dns", "a,b"), 2, ("is no DNS suffix",)),
        (("--permit-dns", "corp.example", "--server-name", "acme.other.example"), 2, ('--server-name "acme.other.example" is not at or below any --permit-dns',)),
        (("--name", ""), 2, ("--name", "1 to 40")),
        (("--organization", "x" * 65), 2, ("--organization", "1 to 64")),
        (sum((["--server-name", f"a{i}.test"] for i in range(70)), []), 2, ("one too many",)),
        (sum((["--permit-dns", f"a{i}.test"] for i in range(70)), []), 2, ("one too many",)),
        (("--passphrase-file", "nowhere"), 1, ("cannot read nowhere (No such file",)),
        (("--passphrase-file", "short"), 1, ("the passphrase in short has fewer than 8 characters",)),
        (("--passphrase-file", "open"), 1, ("open is a secret and may be used by others (mode 0644): chmod 600",)),
        (("--root-passphrase-file", "short"), 1, ("the passphrase in short has fewer",)),
        (("--dir", "/proc/nowhere"), 1, ("cannot make /proc/nowhere",)),
    ):
        said(signer("ceremony", "--dir", "none", "--passphrase-file", "passphrase", *options, cwd=folder), code, *words)
        check(not os.path.exists(os.path.join(folder, "none")), f"{options} left a folder")
    done = signer("ceremony", "--dir", "none", cwd=folder)
    check(done.returncode == 2 and "usage:" in done.stderr, done.stderr)


def ceremony_halves(folder):
    """A ceremony that cannot write all writes nothing; the remains of one that was killed are named and left."""
    done = signer("ceremony", "--dir", "half", "--passphrase-file", "passphrase", cwd=folder, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)) or signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
    said(done, 1, "cannot write", "File too large")
    left = [name for _, _, names in os.walk(os.path.join(folder, "half")) for name in names]
    check(left == [], f"left behind: {left}")
    write(os.path.join(folder, "half", "issuer-1.key"), "something")
    said(signer("ceremony", "--dir", "half", "--passphrase-file", "passphrase", cwd=folder), 1, "issuer-1.key is there already", "nothing is written over")
    check(os.listdir(os.path.join(folder, "half")) in (["root", "issuer-1.key"], ["issuer-1.key", "root"]), "something was written")
    ca = made(folder)
    before = {name: os.stat(os.path.join(ca, name)).st_mtime_ns for name in os.listdir(ca)}
    said(signer("ceremony", "--dir", "ca", "--passphrase-file", "passphrase", cwd=folder), 1, "has a CA already; it is left as it is")
    check(before == {name: os.stat(os.path.join(ca, name)).st_mtime_ns for name in os.listdir(ca)}, "files have changed")


def openssl(*args, ok=True):
    done = subprocess.run(["openssl", *args], capture_output=True, text=True, timeout=60)
    check((done.returncode == 0) == ok, f"openssl {' '.join(args)}: {done.stdout}{done.stderr}")
    return done.stdout


def ceremony_root_apart(folder):
    """The root's key on a medium of its own, under a passphrase of its own, of its own kind."""
    write(os.path.join(folder, "root-passphrase"), "another one for the root\n")
    ca = made(folder, "apart", "--root-dir", "medium", "--root-passphrase-file", "root-passphrase", "--root-key-type", "p384", "--key-type", "p256", "--internal-key-type", "rsa2048", "--organization", "Example, Inc.")
    check(sorted(os.listdir(os.path.join(folder, "medium"))) == ["root.key", "root.pem"] and not os.path.exists(os.path.join(ca, "root")), "the root is elsewhere")
    check("ENCRYPTED" in open(os.path.join(folder, "medium", "root.key"), encoding="utf-8").read(), "the root's key is not sealed")
    openssl("pkey", "-in", os.path.join(folder, "medium", "root.key"), "-passin", "file:" + os.path.join(folder, "root-passphrase"), "-noout")
    openssl("pkey", "-in", os.path.join(folder, "medium", "root.key"), "-passin", "file:" + os.path.join(folder, "passphrase"), "-noout", ok=False)
    openssl("pkey", "-in", os.path.join(ca, "issuer-1.key"), "-passin", "file:" + os.path.join(folder, "passphrase"), "-noout")
    openssl("pkey", "-in", os.path.join(ca, "internal-root.key"), "-passin", "file:" + os.path.join(folder, "passphrase"), "-noout")
    openssl("verify", "-x509_strict", "-CAfile", os.path.join(ca, "root.pem"), os.path.join(ca, "issuer-1.pem"))
    openssl("verify", "-x509_strict", "-CAfile", os.path.join(ca, "internal-root.pem"), os.path.join(ca, "acme.pem"))
    kinds = {name: x509.load_pem_x509_certificate(open(os.path.join(ca, name), "rb").read()).public_key().key_size for name in ("root.pem", "issuer-1.pem", "internal-root.pem")}
    check(kinds == {"root.pem": 384, "issuer-1.pem": 256, "internal-root.pem": 2048}, str(kinds))
    issuer = x509.load_pem_x509_certificate(open(os.path.join(ca, "issuer-1.pem"), "rb").read())
    basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints)
    check(basic.critical and basic.value.ca and basic.value.path_length == 0, f"{basic}")


def ceremony_constraints(folder):
    """Under a name constraint the server's own certificate still verifies: names outside it are left out."""
    ca = made(folder, "narrow", "--permit-dns", "corp.example", "--server-name", "acme.corp.example", "--server-name", "10.1.2.3")
    constraint = x509.load_pem_x509_certificate(open(os.path.join(ca, "issuer-1.pem"), "rb").read()).extensions.get_extension_for_class(x509.NameConstraints)
    check(constraint.critical and [n.value for n in constraint.value.permitted_subtrees] == ["corp.example"], str(constraint))
    openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "acme.corp.example", "-CAfile", os.path.join(ca, "root.pem"), "-untrusted", os.path.join(ca, "issuer-1.pem"), os.path.join(ca, "server.pem"))
    names = x509.load_pem_x509_certificate(open(os.path.join(ca, "server.pem"), "rb").read()).extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    check(names == ["acme.corp.example"], str(names))


class Start:
    """A signer's configuration in a folder, and what its start says."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_ports(4)
        self.lines = {"dir": "ca", "passphrase_file": "passphrase", "journal": "journal", "address": f'"127.0.0.1:{self.port}"', "private_address": f'"127.0.0.1:{self.port + 1}"',
                      "profiles": "{server: {keys: [P-256]}}"}

    def config(self, **changes):
        lines = dict(self.lines, **changes)
        return write(os.path.join(self.folder, "signer.yaml"), "".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None), 0o644)

    def fails(self, code, *words, env=None, preexec_fn=None, **changes):
        said(signer("--config", self.config(**changes), cwd="/", env=env, preexec_fn=preexec_fn), code, *words)

    def works(self, env=None, **changes):
        """Starts, is ready, and is ended; returns its log."""
        log = os.path.join(self.folder, "log")
        with open(log, "w", encoding="utf-8") as out, subprocess.Popen([PROGRAM, "--config", self.config(**changes)], stderr=out, env=dict(ENVIRON, **(env or {})), cwd="/") as process:
            deadline = time.monotonic() + 20
            while "signer.started" not in open(log, encoding="utf-8").read() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
        text = open(log, encoding="utf-8").read()
        check(code == 0 and "signer.started" in text, f"{code}: {text}")
        return text


def changed(path, mode):
    """Runs with another mode of a file."""
    class Mode:
        def __enter__(self):
            self.before = os.stat(path).st_mode & 0o7777
            os.chmod(path, mode)

        def __exit__(self, *_):
            os.chmod(path, self.before)

    return Mode()


def start_keys(start):
    ca = os.path.join(start.folder, "ca")
    write(os.path.join(start.folder, "wrong"), "not the right one\n")
    start.works()
    start.fails(1, "the passphrase does not open issuer-1.key: check passphrase_file", passphrase_file="wrong")
    start.fails(1, "cannot read", "nowhere", "No such file", passphrase_file="nowhere")
    start.fails(1, "there is no passphrase: set passphrase_file", passphrase_file=None)
    start.fails(1, "cannot open the folder", "nowhere", dir="nowhere")
    for name in ("passphrase", "ca/issuer-1.key", "ca/serial-1.key", "ca/internal-root.key", "ca/signer.key"):
        for mode in (0o644, 0o604, 0o620):
            with changed(os.path.join(start.folder, name), mode):
                start.fails(1, f"{os.path.basename(name)} is a secret and may be used by others (mode {mode:04o}): chmod 600 it")
    if os.geteuid() != 0:
        with changed(os.path.join(ca, "issuer-1.key"), 0):
            start.fails(1, "cannot read issuer-1.key (Permission denied): check owner and mode")
    write(os.path.join(start.folder, "key"), "")
    text = start.works(passphrase_file=None, env={"CERTMILL_PASSPHRASE": "a good passphrase"})
    check("a good passphrase" not in text, "the passphrase is in the log")


def start_dates(start):
    shift = lambda days: {"CERTMILL_TEST_CLOCK_OFFSET_S": str(int(days * DAY_S))}  # noqa: E731
    start.fails(1, "the CA certificate issuer-1.pem has expired, at 20", "make a new one with a ceremony and install its root", env=shift(1826))
    start.fails(1, "the CA certificate issuer-1.pem is not valid before 20", "set this machine's clock", env=shift(-2))
    start.fails(1, "the issuing CA's certificate ends in", "before the certificates of any profile would", env=shift(1824.5))
    text = start.works(env=shift(1824.5), profiles="{server: {keys: [P-256]}, short: {keys: [P-256], validity: 1h}}")
    check("orders of this profile fail" in text and "name=server" in text and "name=short" not in text, text)
    check("name=issuer-1.pem" in start.works(env=shift(1700)) and "signer.ca_ends" not in start.works(env=shift(1500)), "the CA's end is not announced in its last tenth")


def start_places(start):
    """Ports, the journal's folder, users, locked memory."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", start.port))
        taken.listen()
        start.fails(1, f"127.0.0.1:{start.port}", "in use")
    write(os.path.join(start.folder, "file"), "")
    start.fails(1, "the journal folder", "/file cannot be opened (Not a directory)", journal="file")
    start.fails(1, "the journal folder", "/no/such cannot be made (No such file", journal="no/such")
    start.fails(2, "signer.yaml:", "journal_segment", journal_segment="1KiB")
    start.fails(2, "signer.yaml:", "profiles", profiles="{}")
    with subprocess.Popen([PROGRAM, "--config", start.config()], stderr=subprocess.DEVNULL, cwd="/") as other:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", start.port + 1)) == 0:
                    break
            time.sleep(0.05)
        start.fails(1, "is in use by another signer", address=f'"127.0.0.1:{start.port + 2}"', private_address=f'"127.0.0.1:{start.port + 3}"')
        other.terminate()
        check(other.wait(30) == 0, "the other signer")
    if os.geteuid() != 0:
        return
    start.fails(1, "there is no user no-such-user-here: create it or change `user`", user="no-such-user-here")
    check("signer.root" in start.works(), "root without a user is not warned of")
    # The first journal is root's; a user of its own cannot write it, and is told so.
    start.fails(1, "its files must belong to the user that the signer runs as", user="nobody")
    shutil.rmtree(os.path.join(start.folder, "journal"))
    for _ in range(2):
        check("signer.root" not in start.works(user="nobody"), "root although it has a user")
    nobody = pwd.getpwnam("nobody").pw_uid
    names = os.listdir(os.path.join(start.folder, "journal"))
    check(names and all(os.stat(os.path.join(start.folder, "journal", n)).st_uid == nobody for n in names), "a file of the journal is not its user's")


def renew_groups(start):
    """A group of front ends has a certificate of its own; who is not in `callers` gets nothing, at the real listener."""
    folder = start.folder
    for group in ("EU", "", "a" * 33, "../x", "a:b"):
        check(signer("renew", "--dir", "ca", "--passphrase-file", "passphrase", "--front-end", group, cwd=folder).returncode == 2, f"group {group!r}")
    for n in range(2):  # made, then found fresh
        done = signer("renew", "--dir", "ca", "--passphrase-file", "passphrase", "--front-end", "eu", cwd=folder)
        check(done.returncode == 0 and done.stdout == ("renewed ca/acme-eu.pem\n" if n == 0 else ""), done.stdout + done.stderr)
    ca = os.path.join(folder, "ca")
    leaf = x509.load_pem_x509_certificate(open(os.path.join(ca, "acme-eu.pem"), "rb").read())
    check(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:certmill:role:acme:eu"], "role")
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", os.path.join(ca, "internal-root.pem"), os.path.join(ca, "acme-eu.pem"))
    start.fails(2, "signer.yaml:", "callers.eu.names", "is no DNS suffix", callers="{eu: {names: [.corp]}}")
    start.fails(2, "signer.yaml:", "callers", "is no name for a group", callers="{EU: {}}")
    start.works(callers="{eu: {names: [corp.example], rate: 100}, default: {}}", journal="journal-groups")


def renew_input(folder):
    for options, words in ((("--dir", "nowhere", "--passphrase-file", "passphrase"), ("cannot open the folder nowhere",)), (("--dir", "ca", "--passphrase-file", "wrong"), ("the passphrase does not open issuer-1.key",))):
        said(signer("renew", *options, cwd=folder), 1, *words)
    said(signer("journal", "dump", "--dir", "nowhere", cwd=folder), 1, "the journal folder nowhere cannot be opened (No such file")
    for options, code, words in ((("--to", "ca"), 1, ("journal-none cannot be opened",)), (("--dir", "ca", "--to", "ca"), 1, ("another folder than the journal",))):
        said(signer("journal", "archive", "--dir", "journal-none" if "--dir" not in options else "ca", *options, cwd=folder), code, *words)
    check(signer("journal", "archive", "--dir", "ca", "--to", "old", "--keep-hours", "0", cwd=folder).returncode == 2, "less than an hour is kept")
    done = signer("journal", "archive", "--dir", "journal", "--to", "old", cwd=folder)
    check(done.returncode == 0 and done.stdout == "0 segments moved from journal to old\n", done.stdout + done.stderr)
    check(signer("renew", "--dir", "ca", "--passphrase-file", "passphrase", cwd=folder).stdout == "", "something was renewed that was fresh")


with tempfile.TemporaryDirectory(prefix="certmill-e2e-", dir="/tmp") as folder:
    os.chmod(folder, 0o755)
    write(os.path.join(folder, "passphrase"), "a good passphrase\n")
    for part in (ceremony_input, ceremony_halves, ceremony_root_apart, ceremony_constraints):
        part(folder)
        print(part.__name__ + ": ok", flush=True)
    start = Start(folder)
    for part in (start_keys, start_dates, start_places):
        part(start)
        print(part.__name__ + ": ok", flush=True)
    renew_groups(start)
    print("renew_groups: ok", flush=True)
    renew_input(folder)
    print("renew_input: ok", flush=True)

"""production: the commands and files of docs/production.md, as they are but for addresses and folders, from the ceremony to a certificate."""
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

from certmill import BIN, Dev, ENVIRON, check, free_ports

ROOT = os.environ["CERTMILL_SOURCE_DIR"]


def replaced(text, dev, folder, base):
    """The page's addresses and folders as they are here: everything on loopback, no DNS."""
    for old, new in (
        ("/etc/certmill", os.path.join(folder, "etc")),
        ("/var/lib/certmill", os.path.join(folder, "var")),
        ("/run/postgresql", os.path.join(dev.state, "run")),
        ("https://acme.example/", f"https://localhost:{base}/"),
        ("--permit-dns example", "--permit-dns example --permit-dns localhost"),
        ("hosts: [acme.example]", f'hosts: ["localhost:{base}"]'),
        ("10.0.0.10:443", f"127.0.0.1:{base}"),
        ("10.0.0.10:80", f"127.0.0.1:{base + 1}"),
        ("10.0.0.10:14101", f"127.0.0.1:{base + 2}"),
        ("10.0.0.10:14102", f"127.0.0.1:{base + 6}"),
        ("https://acme.example:14102", f"https://localhost:{base + 6}"),
        ("10.0.0.20:14443", f"127.0.0.1:{base + 3}"),
        ("127.0.0.1:14444", f"127.0.0.1:{base + 4}"),
        ("127.0.0.1:14100", f"127.0.0.1:{base + 5}"),
        ('resolvers: ["10.0.0.53"]', f"overrides: [{{suffix: example, address: 127.0.0.1}}]\n      http_port: {base + 1}\n      denied: []"),
        ("allowed: [10.0.0.0/8]", "allowed: [127.0.0.0/8]"),
    ):
        check(old in text, f"the page has no {old} any more")
        text = text.replace(old, new)
    return text


def start(program, config, port):
    log = open(config + ".log", "w", encoding="utf-8")
    process = subprocess.Popen([os.path.join(BIN, program), "--config", config], stderr=log, env=ENVIRON)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return process
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    with open(log.name, encoding="utf-8") as f:
        raise AssertionError(f"{program} is not ready: {f.read()}")


with Dev() as dev:  # for its PostgreSQL
    dev.psql("CREATE DATABASE certmill")
    base, processes = free_ports(7), []
    with open(os.path.join(ROOT, "docs", "production.md"), encoding="utf-8") as f:
        page = replaced(f.read(), dev, dev.dir, base)
    env = dict(ENVIRON, PATH=BIN + ":" + os.environ["PATH"])
    blocks = re.findall(r"^```(sh|yaml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    check([kind for kind, _ in blocks] == ["sh", "yaml", "sh", "sh", "sh", "yaml", "sh", "sh", "sh"], f"other steps than this test knows: {[kind for kind, _ in blocks]}")
    said = ""
    try:
        for kind, text in blocks:
            if kind == "yaml":
                with open(text.split("\n")[0].lstrip("# "), "w", encoding="utf-8") as f:
                    f.write(text)
                continue
            if "certmill migrate" in text:  # the page's step 2 has said how: now it runs
                processes.append(start("certmill-signer", os.path.join(dev.dir, "etc", "signer.yaml"), base + 4))
            if "certmill-bench once" in text:
                processes.append(start("certmill-acme", os.path.join(dev.dir, "etc", "acme", "acme.yaml"), base + 5))
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True, timeout=120, env=env)
            check(done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}")
            said += done.stdout
        for part in ("names      app.example", "issuer     CN=Example Issuing CA 1", "issued in ", "web team"):
            check(part in said, said)
        check("app.example" in done.stdout, done.stdout)  # the certificate, listed for an administrator
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(60) for process in processes]
    check(codes == [0, 0], f"exit codes {codes}")
print("docs/production.md leads to a certificate")

"""renew_early: `certmill cert renew-early` moves the renewal windows of a set of certificates, and no more than the installation bears; `certmill renewal` lists and cancels."""
import json
import os
import subprocess
from datetime import datetime, timedelta, timezone

from cryptography import x509

from certmill import BIN, ENVIRON, Client, Dev, Responder, b64, check

HOUR = timedelta(hours=1)


def certmill(dev, *words, code=0):
    done = subprocess.run([os.path.join(BIN, "certmill"), *words, "--config", os.path.join(dev.state, "acme-0.yaml")], capture_output=True, text=True, timeout=60, env=ENVIRON)
    check(done.returncode == code, f"certmill {' '.join(words)}: exit code {done.returncode}, wanted {code}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout) if "--json" in words and code == 0 else done.stdout + done.stderr


def window(client, cert):
    aki = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    answer = client.get(f"{client.directory['renewalInfo']}/{b64(aki)}.{b64(cert.serial_number.to_bytes(20, 'big'))}")
    check(answer.status == 200, answer.body)
    return tuple(datetime.strptime(answer.json()["suggestedWindow"][k], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc) for k in ("start", "end"))


def obtain(client, responder, name, **more):
    order = client.new_order([name], **more)
    client.authorize(order, responder)
    return x509.load_pem_x509_certificate(client.finish(order, [name]).encode())


def windows(dev, client, certs):
    before = [window(client, c) for c in certs]
    soon = datetime.now(timezone.utc) + 3 * HOUR
    check(all(w[0] > soon for w in before), str(before))

    # One profile of the two, spread over two hours from now.
    rule = certmill(dev, "cert", "renew-early", "--profile", "server", "--within", "2h", "--comment", "a test", "--json")
    check(rule["certificates"] == 4 and rule["needed_per_minute"] == 1 and rule["capacity_from"] == "measured" and rule["capacity_per_minute"] >= 1 and rule["status"] == "active", str(rule))
    after = [window(client, c) for c in certs]
    now = datetime.now(timezone.utc)
    for i, w in enumerate(after):
        check(w == before[i] if i == 4 else now - HOUR / 30 <= w[0] < w[1] <= now + 2 * HOUR, f"{i}: {w}")
    check(len(set(after[:4])) > 1, "not spread")
    rules = certmill(dev, "renewal", "list", "--json")["items"]
    check([r["id"] for r in rules] == [rule["id"]] and rules[0]["comment"] == "a test" and rules[0]["profile"] == "server", str(rules))
    text = certmill(dev, "renewal", "list")
    check(rule["id"] in text and "active" in text and "a test" in text, text)

    # Cancelled: where they were.
    check(certmill(dev, "renewal", "cancel", rule["id"], "--json")["status"] == "cancelled", "cancel")
    check([window(client, c) for c in certs] == before, "a cancelled rule moves windows")
    certmill(dev, "renewal", "cancel", rule["id"])  # again: no harm
    certmill(dev, "renewal", "cancel", "nothing", code=1)

    # Serial numbers from a file, in the ways in which programs print them.
    path = os.path.join(dev.dir, "serials")
    hexadecimal = [f"{c.serial_number:040x}" for c in certs]
    with open(path, "w", encoding="utf-8") as f:
        f.write(hexadecimal[0] + "\n\n" + ":".join(hexadecimal[1][i : i + 2] for i in range(0, 40, 2)).upper() + "\r\n")
    rule = certmill(dev, "cert", "renew-early", "--serials", path, "--within", "10m", "--json")
    check(rule["certificates"] == 2 and rule["serials"] == 2, str(rule))
    moved = [window(client, c) != before[i] for i, c in enumerate(certs)]
    check(moved == [True, True, False, False, False], str(moved))
    certmill(dev, "renewal", "cancel", rule["id"])

    # By the time of issue; what is issued after the rule is never meant.
    born = certs[0].not_valid_before.replace(tzinfo=timezone.utc)
    text = f"{born:%Y-%m-%dT%H:%M:%SZ}"
    rule = certmill(dev, "cert", "renew-early", "--issued-after", text, "--issued-before", text, "--within", "1h", "--json")
    check(1 <= rule["certificates"] <= 5 and window(client, certs[0]) != before[0], str(rule))
    certmill(dev, "renewal", "cancel", rule["id"])
    told = certmill(dev, "cert", "renew-early", "--issued-before", f"{born - HOUR:%Y-%m-%dT%H:%M:%SZ}", "--within", "1h", code=1)
    check("no certificate" in told, told)
    print("windows: ok")


def refusals(dev, client, responder):
    for words, code, told in (
        (["--within", "2h"], 1, "which certificates"),
        (["--issuer", "1"], 1, "within"),
        (["--issuer", "7", "--within", "2h"], 1, "no certificate"),
        (["--tenant", "nobody", "--within", "2h"], 1, "no tenant"),
        (["--issuer", "1", "--within", "0s"], 1, "no time"),
        (["--issuer", "1", "--within", "soon"], 2, "duration"),
        (["--issuer", "5000", "--within", "2h"], 2, "1 to 1023"),
        (["--serials", os.path.join(dev.dir, "absent"), "--within", "2h"], 2, "absent"),
        (["--serials", os.path.join(dev.state, "acme-0.yaml"), "--within", "2h"], 1, "hexadecimal"),
        (["--serials", "/dev/null", "--within", "2h"], 1, "names none"),
    ):
        text = certmill(dev, "cert", "renew-early", *words, code=code)
        check(told in text, f"{words}: {text}")
    check(certmill(dev, "renewal", "list", "--json")["items"][0]["status"] == "cancelled", "a refused rule was made")

    # A hundred certificates of one minute in one second are 6000 a minute: more than this has ever done.
    dev.psql("INSERT INTO certificates SELECT set_byte(set_byte(serial, 19, i), 18, 77), order_id, account, tenant, 'herd', issuer, not_before, not_after, spki_hash, der FROM certificates, generate_series(0, 99) i WHERE serial = (SELECT serial FROM certificates ORDER BY serial DESC LIMIT 1)")
    told = certmill(dev, "cert", "renew-early", "--profile", "herd", "--within", "1s", code=1)
    check("6000 a minute" in told and "measured" in told and "force" in told, told)
    rule = certmill(dev, "cert", "renew-early", "--profile", "herd", "--within", "1s", "--force", "--json")
    check(rule["needed_per_minute"] == 6000 and 100 <= rule["capacity_per_minute"] < 6000, str(rule))
    certmill(dev, "renewal", "cancel", rule["id"])
    path = os.path.join(dev.state, "acme-0.yaml")
    with open(path, "a", encoding="utf-8") as f:
        f.write("capacity: 200\n")
    rule = certmill(dev, "cert", "renew-early", "--profile", "herd", "--within", "1s", "--json")
    check(rule["capacity_per_minute"] == 12000 and rule["capacity_from"] == "setting", str(rule))
    certmill(dev, "renewal", "cancel", rule["id"])
    print("refusals: ok")


with Dev() as dev:
    responder = Responder(dev.http_port)
    client = Client(dev)
    client.register()
    names = [f"early-{i}.internal.test" for i in range(5)]
    certs = [obtain(client, responder, n, profile="client-server" if i == 4 else "server") for i, n in enumerate(names)]
    windows(dev, client, certs)
    refusals(dev, client, responder)
    responder.close()

"""keys: weak and blocked keys are refused as keys of accounts, of key changes and of certificates, by the front end and by the signer; lists are read again on SIGHUP; every kind of key that profiles may have is certified."""
import hashlib
import json
import math
import os
import random
import signal
import subprocess
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicNumbers, rsa_crt_dmp1, rsa_crt_dmq1, rsa_crt_iqmp

from certmill import Client, Dev, Key, Responder, b64, check, csr_make, number

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
rng = random.Random(2017)


def is_prime(n):
    if any(n % p == 0 for p in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)) or n % 2 == 0:
        return False
    return all(pow(a, n - 1, n) == 1 for a in (2, 3, 5, 7))


def prime(make):
    while True:
        p = make()
        if is_prime(p) and (p - 1) % 65537 and p >> 1022 == 3:
            return p


def roca_prime():
    product, n, count = 1, 1, 0
    while count < 71:
        n += 1
        if all(n % d for d in range(2, math.isqrt(n) + 1)):
            product, count = product * n, count + 1
    return prime(lambda: (rng.getrandbits(549) | 1 << 548) * product + pow(65537, rng.getrandbits(200), product))


def key_of(p, q, e=65537):
    d = pow(e, -1, (p - 1) * (q - 1))
    return RSAPrivateNumbers(p, q, d, rsa_crt_dmp1(d, p), rsa_crt_dmq1(d, q), rsa_crt_iqmp(p, q), RSAPublicNumbers(e, p * q)).private_key()


def weak_keys():
    """Name, key, and what is said about it."""
    p = prime(lambda: rng.getrandbits(1024))
    q = p + 2
    while not is_prime(q):
        q += 2
    while True:
        r, s = prime(lambda: rng.getrandbits(1024)), prime(lambda: rng.getrandbits(1024))
        if (r - 1) % 3 and (s - 1) % 3:
            break
    return (("close primes", key_of(p, q), "close together"), ("ROCA", key_of(roca_prime(), roca_prime()), "ROCA"), ("exponent 3", key_of(r, s, 3), "public exponent"))


def account_key(private):
    key = Key("RS256")
    key.private, numbers = private, private.public_key().public_numbers()
    key.jwk = {"e": number(numbers.e), "kty": "RSA", "n": number(numbers.n)}
    return key


def digest(private):
    return hashlib.sha256(private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def refused_account(dev, key, text):
    client = Client(dev, key)
    answer = client.post(client.directory["newAccount"], {"termsOfServiceAgreed": True})
    check(answer.status == 400 and answer.type() == "badPublicKey" and text in answer.json()["detail"], answer.body)


def refused_change(client, key, text):
    url = client.directory["keyChange"]
    protected = b64(json.dumps({"alg": key.alg, "jwk": key.jwk, "url": url}).encode())
    payload = b64(json.dumps({"account": client.kid, "oldKey": client.key.jwk}).encode())
    signature = b64(key.sign(f"{protected}.{payload}".encode()))
    answer = client.post(url, {"protected": protected, "payload": payload, "signature": signature})
    check(answer.status == 400 and answer.type() == "badPublicKey" and text in answer.json()["detail"], answer.body)


def refused_certificate(client, responder, private, text):
    order = client.new_order(["weak.internal.test"])
    client.authorize(order, responder)
    answer = client.finalize(order, csr_make(["weak.internal.test"], private))
    check(answer.status == 400 and answer.type() == "badCSR" and text in answer.json()["detail"], answer.body)
    check(client.post(order["url"]).json()["status"] == "ready", "the order was spoiled")
    return order


def setting_add(dev, file, line, program):
    """A line more at the end of a configuration file, and SIGHUP; returns when the log says that it was read, with what it says."""
    path = os.path.join(dev.state, file)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + line)
    os.kill(dev.pids(program)[0], signal.SIGHUP)


def eventually(test, what):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if test():
            return
        time.sleep(0.1)
    raise AssertionError(what)


def logged(dev, text):
    log = os.path.join(dev.state, "log")
    for name in os.listdir(log):
        with open(os.path.join(log, name), encoding="utf-8", errors="replace") as f:
            if text in f.read():
                return True
    return False


with Dev() as dev:
    responder = Responder(dev.http_port)
    client = Client(dev)
    client.register()
    for name, private, text in weak_keys():
        refused_account(dev, account_key(private), text)
        refused_change(client, account_key(private), text)
        refused_certificate(client, responder, private, text)
        print(f"refused: {name}")

    # Kinds of keys: those of the profile, and no other.
    for private in (ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 4096)):
        check(client.obtain(["kind.internal.test"], responder, private).startswith("-----BEGIN"), "certificate")
    for private in (ec.generate_private_key(ec.SECP521R1()), rsa.generate_private_key(65537, 1024)):
        order = client.new_order(["kind.internal.test"])
        client.authorize(order, responder)
        answer = client.finalize(order, csr_make(["kind.internal.test"], private))
        check(answer.status == 400 and answer.type() == "badCSR", answer.body)
    print("the profile's kinds are certified")

    # A list of the front end's, made by the script that the documentation names.
    blocked = ec.generate_private_key(ec.SECP256R1())
    pem = os.path.join(dev.dir, "stolen.pem")
    with open(pem, "wb") as f:
        f.write(blocked.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    line = subprocess.run([os.path.join(ROOT, "scripts", "block-list"), pem], capture_output=True, text=True, check=True).stdout
    check(line == f"{digest(blocked)} stolen.pem\n", line)
    with open(os.path.join(dev.state, "blocked"), "w", encoding="utf-8") as f:
        f.write("# keys that were stolen\n" + line)
    key = Key()
    key.private, p = blocked, blocked.public_key().public_numbers()
    key.jwk.update(x=number(p.x, 32), y=number(p.y, 32))
    setting_add(dev, "acme-0.yaml", "blocked_keys: blocked\n", "certmill-acme")
    eventually(lambda: logged(dev, "acme.reloaded"), "no reload")
    refused_account(dev, key, "list of keys that nobody may use")
    refused_change(client, key, "list of keys that nobody may use")
    refused_certificate(client, responder, blocked, "list of keys that nobody may use")
    print("refused: a key of the front end's list")

    # What cannot be read changes nothing, and is named.
    with open(os.path.join(dev.state, "blocked"), "a", encoding="utf-8") as f:
        f.write("stolen\n")
    os.kill(dev.pids("certmill-acme")[0], signal.SIGHUP)
    eventually(lambda: logged(dev, "blocked: line 3: expected the SHA-256"), "a bad list was not named")
    refused_account(dev, key, "list of keys that nobody may use")

    # The signer's own list.
    private = ec.generate_private_key(ec.SECP256R1())
    with open(os.path.join(dev.state, "signer-blocked"), "w", encoding="utf-8") as f:
        f.write(digest(private) + "\n")
    setting_add(dev, "signer.yaml", "blocked_keys: signer-blocked\n", "certmill-signer")
    eventually(lambda: logged(dev, "signer.reloaded"), "no reload")
    order = client.new_order(["other.internal.test"])
    client.authorize(order, responder)
    client.finalize(order, csr_make(["other.internal.test"], private))
    done = client.poll(order["url"], ("processing",))
    check(done["status"] == "invalid" and "list of keys that are not certified" in done["error"]["detail"], f"{done}")
    print("refused: a key of the signer's list")

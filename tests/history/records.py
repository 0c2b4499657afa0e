"""records: what a checker looks at: what clients saw, what the store holds and how it came there, what signers have written. In memory, or as a folder of JSON files."""
import base64
import json
import os

FILES = ("calls", "fetches", "changes", "accounts", "orders", "authorizations", "intents", "intents_open", "certificates", "journal")
ORDER_STATUS = {1: "pending", 2: "ready", 3: "processing", 4: "valid", 5: "invalid"}
AUTHZ_STATUS = {1: "pending", 2: "valid", 3: "invalid", 4: "deactivated", 5: "expired", 6: "revoked"}


class Records:
    """Lists of plain objects; see README.md for their members.

    calls         one per request of a client, with its answer, if one came
    fetches       one per http-01 request that the responder answered
    changes       the change log of the store, in the order in which rows were changed
    the rest      the store's tables and the signers' journals at quiescence
    issuer        the issuing certificate, DER
    """

    def __init__(self, issuer=b""):
        self.issuer = issuer
        for name in FILES:
            setattr(self, name, [])

    def save(self, folder):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "issuer.der"), "wb") as f:
            f.write(self.issuer)
        for name in FILES:
            with open(os.path.join(folder, name + ".jsonl"), "w", encoding="utf-8") as f:
                f.writelines(json.dumps(row) + "\n" for row in getattr(self, name))

    @classmethod
    def load(cls, folder):
        with open(os.path.join(folder, "issuer.der"), "rb") as f:
            records = cls(f.read())
        for name in FILES:
            with open(os.path.join(folder, name + ".jsonl"), encoding="utf-8") as f:
                setattr(records, name, [json.loads(line) for line in f])
        return records


def octets(text):
    """A bytea as PostgreSQL's JSON shows it."""
    return bytes.fromhex(text[2:])


def id_of(text):
    """An id as clients see it, base64url, in the store's form."""
    raw = base64.urlsafe_b64decode(text + "==").hex()
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"


def id_in_url(url, kind):
    """The id behind /acct/, /order/, /authz/, /chall/ in a URL; None for other URLs."""
    parts = url.split("/")
    return id_of(parts[parts.index(kind) + 1]) if kind in parts[:-1] else None


def identifiers(encoded):
    """The stored form of identifiers: type octet, length in two octets, value."""
    data, found = octets(encoded), []
    while data:
        n = int.from_bytes(data[1:3], "big")
        found.append((data[0], data[3 : 3 + n]))
        data = data[3 + n :]
    return found

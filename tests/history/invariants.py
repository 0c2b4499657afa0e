"""invariants: I1 to I11, I14 and I15 of a certificate authority, each a function of the records that yields what violates it. Every one is a few passes over sorted or hashed rows."""
import base64
import collections
import datetime
import hashlib
import struct

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from records import AUTHZ_STATUS, ORDER_STATUS, id_in_url, identifiers, octets

BACK_S, AHEAD_S = 3600, 5
ORDER_STEPS = {("pending", "ready"), ("pending", "invalid"), ("ready", "processing"), ("ready", "invalid"), ("processing", "valid"), ("processing", "invalid")}
AUTHZ_STEPS = {("pending", "valid"), ("pending", "invalid"), ("valid", "deactivated"), ("valid", "expired"), ("valid", "revoked"), ("pending", "deactivated")}
REACHES = {"pending": {"pending", "ready", "processing", "valid", "invalid"}, "ready": {"ready", "processing", "valid", "invalid"}, "processing": {"processing", "valid", "invalid"}, "valid": {"valid"}, "invalid": {"invalid"}}


def leaf_of(pem):
    return serialization_der(x509.load_pem_x509_certificate(pem.encode()))


def serialization_der(cert):
    return cert.public_bytes(serialization.Encoding.DER)


def order_key(row):
    """Order ids: hyphens in the store, none in the journal."""
    return row["order"] if "-" in row["order"] else "-".join((row["order"][:8], row["order"][8:12], row["order"][12:16], row["order"][16:20], row["order"][20:]))


def signed(r):
    return [j for j in r.journal if j["kind"] == "signed"]


def answered(call):
    return call["status"] is not None


def lost(call):
    """Whether it had its effect cannot be told by its answer: none came, or one that asks to try again."""
    return not answered(call) or call["status"] == 503


def accepted(call):
    return answered(call) and call["status"] < 300


def i1(r):
    """Every certificate that a client received is in the store and in a journal, byte for byte."""
    stored, written = {octets(c["der"]) for c in r.certificates}, {bytes.fromhex(j["certificate"]) for j in signed(r)}
    for call in r.calls:
        if call.get("certificate"):
            der = leaf_of(call["certificate"])
            if der not in stored or der not in written:
                yield f"{call['url']}: the client's certificate is {'' if der in stored else 'not '}in the store and {'' if der in written else 'not '}in the journal"
    for c in r.certificates:
        if octets(c["der"]) not in written:
            yield f"order {c['order_id']}: its certificate is not in a journal"


def i2(r):
    """An order has at most one certificate and one serial, and all clients see the same."""
    per_order, urls = collections.defaultdict(set), collections.defaultdict(set)
    for c in r.certificates:
        per_order[c["order_id"]].add(octets(c["serial"]).hex())
    for j in r.journal:
        if j["kind"] in ("signed", "burned"):
            per_order[order_key(j)].add(j["serial"])
    for call in r.calls:
        order = call.get("object") or {}
        if accepted(call) and "finalize" in order and "certificate" in order:
            urls[id_in_url(order["finalize"], "order")].add(order["certificate"].rsplit("/", 1)[1])
    for order, serials in per_order.items():
        if len(serials) > 1:
            yield f"order {order} has the serials {sorted(serials)}"
    for order, seen in urls.items():
        if len(seen) > 1 or (per_order[order] and {base64.urlsafe_b64decode(u + "==").hex() for u in seen} != per_order[order]):
            yield f"order {order}: clients saw {sorted(seen)}, it has {sorted(per_order[order])}"


def intent_hash(i):
    """proto/rpc/intent.c, written again: SHA-256 over length-prefixed fields in one order."""
    h = hashlib.sha256()

    def put(data):
        h.update(struct.pack(">I", len(data)) + data)

    def number(n):
        put(struct.pack(">Q", n % (1 << 64)))

    put(b"certmill intent v1")
    put(bytes.fromhex(i["order_id"].replace("-", "")))
    put(i["tenant"].encode())
    put(bytes.fromhex(i["account"].replace("-", "")))
    put(octets(i["spki"]))
    names = identifiers(i["names"])
    number(len(names))
    for kind, value in names:
        number(kind)
        put(value)
    put(i["profile"].encode())
    put(octets(i["profile_hash"]))
    for member in ("template_version", "issuer", "region"):
        number(i[member])
    put(octets(i["issuer_cert_hash"]))
    for member in ("serial_key_generation", "not_before", "not_after", "crl_shard"):
        number(i[member])
    put(octets(i["salt"]))
    return h.hexdigest()


def i3(r):
    """Every signature belongs to an intent that was committed with its order's PROCESSING, before the certificate."""
    intents = {i["order_id"]: i for i in r.intents}
    logged, processing, stored = {}, {}, {}
    for c in r.changes:
        if c["table"] == "intents" and c["old"] is None:
            logged[c["new"]["order_id"]] = c
        elif c["table"] == "orders" and c["old"] and c["old"]["status"] != 3 and c["new"]["status"] == 3:
            processing[c["new"]["id"]] = c
        elif c["table"] == "certificates" and c["old"] is None:
            stored[c["new"]["order_id"]] = c
    for j in signed(r):
        order = order_key(j)
        i, log, step = intents.get(order), logged.get(order), processing.get(order)
        if i is None or log is None or step is None:
            yield f"order {order} was signed without an intent in the store"
        elif intent_hash(i) != j["intent_hash"] or intent_hash(log["new"]) != j["intent_hash"]:
            yield f"order {order} was signed for the intent {j['intent_hash']}, the store's is {intent_hash(i)}"
        elif log["txid"] != step["txid"]:
            yield f"order {order}: intent and PROCESSING were not one transaction"
        elif order in stored and stored[order]["seq"] < log["seq"]:
            yield f"order {order}: its certificate is older than its intent"


def i4(r):
    """Nothing is left processing: every intent has ended as certificate, or its order is invalid and its serial is burned, in store and journal alike."""
    burned = {(order_key(j), j["serial"]) for j in r.journal if j["kind"] == "burned"}
    status = {o["id"]: ORDER_STATUS[o["status"]] for o in r.orders}
    have = {c["order_id"] for c in r.certificates}
    for i in r.intents:
        s = status.get(i["order_id"])
        if not (s == "valid" and i["order_id"] in have) and s != "invalid":
            yield f"order {i['order_id']} has an intent and is {s}"
        serial = octets(i["burned_serial"]).hex() if i.get("burned_serial") else None
        if (s == "invalid" and serial is None) or (serial is not None and (s == "valid" or (i["order_id"], serial) not in burned)):
            yield f"order {i['order_id']} is {s} and its burned serial is {serial}"
    closed = {(i["order_id"], octets(i["burned_serial"]).hex()) for i in r.intents if i.get("burned_serial")}
    for order, serial in burned - closed:
        yield f"order {order}: the burned serial {serial} is not in the store"
    for o in r.orders:
        if ORDER_STATUS[o["status"]] == "processing" or (ORDER_STATUS[o["status"]] == "valid") != (o["id"] in have):
            yield f"order {o['id']} is {ORDER_STATUS[o['status']]} and has {'a' if o['id'] in have else 'no'} certificate"
    for w in r.intents_open:
        yield f"order {w['order_id']} is listed as open"


def signature_valid(issuer, cert):
    key = issuer.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(cert.signature, cert.tbs_certificate_bytes, ec.ECDSA(cert.signature_hash_algorithm))
        else:
            key.verify(cert.signature, cert.tbs_certificate_bytes, padding.PKCS1v15(), cert.signature_hash_algorithm)
        return True
    except Exception:  # noqa: B902: whatever the library says, it is not valid
        return False


def i5(r):
    """A certificate has the key of the intent (and of the client's CSR), exactly the order's names, and a valid signature."""
    issuer = x509.load_der_x509_certificate(r.issuer)
    orders, intents = {o["id"]: o for o in r.orders}, {i["order_id"]: i for i in r.intents}
    keys = collections.defaultdict(set)
    for call in r.calls:
        if call.get("csr_spki") and (accepted(call) or lost(call)):
            keys[id_in_url(call["url"], "order")].add(call["csr_spki"])
    for c in r.certificates:
        cert, order = x509.load_der_x509_certificate(octets(c["der"])), c["order_id"]
        spki = cert.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        wanted = {value.decode() for _, value in identifiers(orders[order]["identifiers"])} if order in orders else set()
        if {n.value for n in names if isinstance(n, x509.DNSName)} != wanted or len(list(names)) != len(wanted):
            yield f"order {order} is for {sorted(wanted)}, its certificate for {[n.value for n in names]}"
        if order in intents and spki != octets(intents[order]["spki"]):
            yield f"order {order}: the certificate's key is not the intent's"
        if keys[order] and hashlib.sha256(spki).hexdigest() not in keys[order]:
            yield f"order {order}: the certificate's key is in no request of a client"
        if cert.issuer != issuer.subject or not signature_valid(issuer, cert):
            yield f"order {order}: the certificate is not signed by the issuer"


def authz_ids(order):
    raw = octets(order["authzs"]).hex()
    return [f"{a[:8]}-{a[8:12]}-{a[12:16]}-{a[16:20]}-{a[20:]}" for a in (raw[k : k + 32] for k in range(0, len(raw), 32))]


def proves(z):
    """What an authorization stands for, as an order names it."""
    kind, value = identifiers(z["identifier"])[0]
    return kind, (b"*." if z["wildcard"] else b"") + value


def i6(r):
    """When an order became PROCESSING, each of its authorizations was valid, unexpired and of the same account, and they were for its identifiers. What an order took over had been valid, was not over, and outlasts it."""
    authz = {}
    for c in r.changes:
        if c["table"] == "authorizations" and c["new"]:
            authz[c["new"]["id"]] = c["new"]
        order = c["new"]
        if c["table"] != "orders" or not order:
            continue
        if not c["old"]:
            for z in (authz[a] for a in authz_ids(order) if a in authz):
                # It may be given back in the same moment: finalize decides. So valid or deactivated.
                if AUTHZ_STATUS[z["status"]] not in ("valid", "deactivated") or z["expires_at"] < max(c["at"], order["expires_at"]) or (z["account"], z["tenant"]) != (order["account"], order["tenant"]):
                    yield f"order {order['id']} took over the authorization {z}"
        elif order["status"] == 3 and c["old"]["status"] != 3:
            held = [authz.get(a) for a in authz_ids(order)]
            for z in held:
                if z is None or AUTHZ_STATUS[z["status"]] != "valid" or z["expires_at"] <= c["at"] or z["account"] != order["account"]:
                    yield f"order {order['id']} became processing with the authorization {z}"
            if all(held) and sorted(map(proves, held)) != sorted(identifiers(order["identifiers"])):
                yield f"order {order['id']} became processing with authorizations for {[proves(z) for z in held]}"


def i7(r):
    """An authorization became valid only after its challenge was posted and its key authorization was fetched."""
    thumbprints = {a["id"]: base64.urlsafe_b64encode(octets(a["thumbprint"])).rstrip(b"=").decode() for a in r.accounts}
    fetched, posted = {}, {}
    for f in r.fetches:
        fetched.setdefault((f["token"], f["key_authorization"]), f["t"])
    for call in r.calls:
        z = id_in_url(call["url"], "chall")
        if z and call["payload"] and (accepted(call) or lost(call)):
            posted[z] = min(call["start"], posted.get(z, call["start"]))
    for z in r.authorizations:
        if AUTHZ_STATUS[z["status"]] not in ("valid", "deactivated", "expired", "revoked"):
            continue
        token = base64.urlsafe_b64encode(octets(z["token"])).rstrip(b"=").decode()
        t = fetched.get((token, f"{token}.{thumbprints.get(z['account'])}"))
        if z["id"] not in posted or t is None or t < posted[z["id"]]:
            yield f"authorization {z['id']} is valid: challenge posted at {posted.get(z['id'])}, key authorization fetched at {t}"


def i8(r):
    """States move along RFC 8555 section 7.1.6, and no client reads an earlier one after a later one."""
    for c in r.changes:
        if c["old"] and c["new"] and c["table"] in ("orders", "authorizations") and c["old"]["status"] != c["new"]["status"]:
            names, steps = (ORDER_STATUS, ORDER_STEPS) if c["table"] == "orders" else (AUTHZ_STATUS, AUTHZ_STEPS)
            if (names[c["old"]["status"]], names[c["new"]["status"]]) not in steps:
                yield f"{c['table']} {c['new']['id']} went from {names[c['old']['status']]} to {names[c['new']['status']]}"
    reads = collections.defaultdict(list)
    for call in r.calls:
        order = call.get("object") or {}
        if accepted(call) and "finalize" in order:
            reads[id_in_url(order["finalize"], "order")].append((call["start"], call["end"], order["status"]))
    for order, seen in reads.items():
        # Against the furthest state whose reading had ended when this one began.
        ended = sorted(seen, key=lambda s: s[1])
        k, furthest = 0, "pending"
        for start, _, status in sorted(seen):
            while k < len(ended) and ended[k][1] < start:
                if ended[k][2] in REACHES[furthest]:
                    furthest = ended[k][2]
                k += 1
            if status not in REACHES[furthest]:
                yield f"order {order} was read as {status} after {furthest}"


def i9(r):
    """A nonce is accepted at most once, and only if a server issued it before."""
    issued, used = {}, {}
    for call in r.calls:
        if call.get("fresh"):
            issued[call["fresh"]] = min(call["end"], issued.get(call["fresh"], call["end"]))
    for call in sorted(r.calls, key=lambda c: c["start"]):
        nonce = call.get("nonce")
        if not nonce or not accepted(call):
            continue
        if nonce in used:
            yield f"nonce {nonce} was accepted for {used[nonce]} and for {call['url']}"
        if nonce not in issued or issued[nonce] > call["end"]:
            yield f"nonce {nonce} was accepted for {call['url']} and nobody had issued it"
        used[nonce] = call["url"]


def i10(r):
    """What was acknowledged is in the store."""
    accounts, orders, authz = {a["id"] for a in r.accounts}, {o["id"]: o for o in r.orders}, {z["id"]: z for z in r.authorizations}
    intents = {i["order_id"] for i in r.intents}
    for call in r.calls:
        if not accepted(call) or call["method"] != "POST":
            continue
        body = call.get("object") or {}
        account = id_in_url(call.get("location") or "", "acct")
        if account and account not in accounts:
            yield f"account {account} was acknowledged and is not there"
        order = id_in_url(body.get("finalize", ""), "order")
        if order and (order not in orders or (body["status"] == "valid" and ORDER_STATUS[orders[order]["status"]] != "valid")):
            yield f"order {order} was acknowledged as {body['status']} and is {ORDER_STATUS[orders[order]['status']] if order in orders else 'not there'}"
        if order and call["url"].endswith("/finalize") and order not in intents:
            yield f"order {order}: finalize was acknowledged and there is no intent"
        z = id_in_url(call["url"], "authz")
        if z and body.get("status") == "valid" and (z not in authz or AUTHZ_STATUS[authz[z]["status"]] == "pending"):
            yield f"authorization {z} was acknowledged as valid"


def i11(r):
    """Every effect in the store has a request that was accepted, or whose answer was lost: refused ones have none."""
    takes = [c for c in r.calls if c["method"] == "POST" and (accepted(c) or lost(c))]
    keys = {c["key"] for c in takes if c["url"].endswith("/new-account")}
    orders = collections.Counter(c["account"] for c in takes if c["url"].endswith("/new-order"))
    finalized = {id_in_url(c["url"], "order") for c in takes if c["url"].endswith("/finalize")}
    challenged = {id_in_url(c["url"], "chall") for c in takes if id_in_url(c["url"], "chall")}
    for a in r.accounts:
        if base64.urlsafe_b64encode(octets(a["thumbprint"])).rstrip(b"=").decode() not in keys:
            yield f"account {a['id']} exists and no newAccount of its key was accepted"
    for account, n in collections.Counter(o["account"] for o in r.orders).items():
        if n > orders[account]:
            yield f"account {account} has {n} orders and {orders[account]} accepted newOrder"
    for i in r.intents:
        if i["order_id"] not in finalized:
            yield f"order {i['order_id']} has an intent and no accepted finalize"
    for z in r.authorizations:
        if AUTHZ_STATUS[z["status"]] != "pending" and z["id"] not in challenged:
            yield f"authorization {z['id']} was decided and no challenge was accepted"


def i14(r):
    """Serials are unique, positive, of 20 octets, begin with the hour of notBefore, and the rest never repeats."""
    tails, orders = {}, {}
    for j in r.journal:
        if j["kind"] not in ("signed", "burned"):
            continue
        serial, order = j["serial"], order_key(j)
        if len(serial) != 40 or not 1 <= int(serial[:2], 16) <= 0x7f:
            yield f"order {order}: the serial {serial} is not positive or not of 20 octets"
        if orders.setdefault(serial, order) != order:
            yield f"the serial {serial} is of {orders[serial]} and of {order}"
        elif tails.setdefault(serial[10:], serial) != serial:
            yield f"the serials {tails[serial[10:]]} and {serial} share their random part"
        if j["kind"] == "signed":
            cert = x509.load_der_x509_certificate(bytes.fromhex(j["certificate"]))
            hour = int(cert.not_valid_before.replace(tzinfo=datetime.timezone.utc).timestamp()) // 3600
            if f"{cert.serial_number:040x}" != serial or int(serial[:6], 16) != hour:
                yield f"order {order}: the serial {serial} does not begin with the hour of notBefore, {hour:06x}"


def i15(r):
    """notBefore lies within an hour before the signature, the validity is the intent's to the second, within the issuer's."""
    issuer = x509.load_der_x509_certificate(r.issuer)
    intents = {i["order_id"]: i for i in r.intents}
    for j in signed(r):
        cert, order = x509.load_der_x509_certificate(bytes.fromhex(j["certificate"])), order_key(j)
        begin, end = (int(t.replace(tzinfo=datetime.timezone.utc).timestamp()) for t in (cert.not_valid_before, cert.not_valid_after))
        i = intents.get(order)
        if not j["time"] - BACK_S <= begin <= j["time"] + AHEAD_S:
            yield f"order {order}: notBefore is {j['time'] - begin} s before the signature"
        elif i is not None and (begin, end) != (i["not_before"], i["not_after"]) or end - begin + 1 > 86400:
            yield f"order {order}: valid from {begin} to {end}, the intent says {i and (i['not_before'], i['not_after'])}"
        elif cert.not_valid_after > issuer.not_valid_after or cert.not_valid_before < issuer.not_valid_before:
            yield f"order {order}: not within the issuer's life"


ALL = {"I1": i1, "I2": i2, "I3": i3, "I4": i4, "I5": i5, "I6": i6, "I7": i7, "I8": i8, "I9": i9, "I10": i10, "I11": i11, "I14": i14, "I15": i15}


def violations(records):
    """All violations as (name, text)."""
    return [(name, text) for name, check in ALL.items() for text in check(records)]

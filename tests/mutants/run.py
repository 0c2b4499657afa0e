#!/usr/bin/env python3
"""run: each rule of the store has a test that fails without it. For every row the rule is taken out of a copy of the sources, the tests named are built and run there, and one of them must fail.

usage: python3 tests/mutants/run.py [NAME...]     (all, or the rules whose name contains one of the words; about ten seconds each)
"""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# name, file, what stands there, what takes its place, the tests of which one must fail
ROWS = [
    ("orders are locked in the order of their ids", "store/flush.c", "ORDER BY id FOR NO KEY UPDATE", "ORDER BY id DESC FOR NO KEY UPDATE", ["rules"]),
    ("lock first, decide next", "store/flush.c", "if (!f->read) locks_send(f);", "if (f->count > 1000) locks_send(f);", ["rules"]),
    ("accounts are locked before they are decided about", "store/flush.c", "    account_locks_send(f);\n    eab", "    if (f->count > 1000) account_locks_send(f);\n    eab", ["account"]),
    ("updates of one account in one flush are added up", "store/account_change.c", "WHERE outcome = 1 GROUP BY id), ", "WHERE outcome = 1 GROUP BY id, n), ", ["account"]),
    ("an account is changed by its present key", "store/account_change.c", "WHEN a.key_version <> t.key_version THEN \"\n        \"4 ", "\"\n        \"", ["account"]),
    ("a key that is somebody's is not taken", "store/account_change.c", "WHEN k.account IS DISTINCT FROM a.id OR", "WHEN", ["account"]),
    ("the old key is free after a change", "store/account_change.c", "x AS (DELETE FROM account_keys k USING d WHERE d.outcome = 1 AND", "x AS (DELETE FROM account_keys k USING d WHERE d.outcome = 9 AND", ["account", "doubt"]),
    ("an account is made once for its key", "store/account.c", "JOIN account_keys k ON k.tenant = \"\n              \"t.tenant AND k.thumbprint = t.thumbprint AND k.account = t.id ORDER", "ORDER", ["account", "store"]),
    ("a binding key is locked before it is decided about", "store/flush.c", "    eab_locks_send(f);\n}", "    if (f->count > 1000) eab_locks_send(f);\n}", ["eab"]),
    ("a binding key makes no more accounts than it may", "store/account.c", "used + dense_rank() \"\n        \"OVER (PARTITION BY tenant, eab, why ORDER BY first) > most", "used >= most", ["eab"]),
    ("one account key takes one place", "store/account.c", "dense_rank() \"", "row_number() \"", ["eab"]),
    ("accounts are counted in the commit that makes them", "store/account.c", "e.accounts_used + c.made FROM", "e.accounts_used + least(c.made, 0) FROM", ["eab", "doubt"]),
    ("a binding key must be enabled", "store/account.c", "WHEN e.status <> 1 THEN 2", "WHEN false THEN 2", ["eab"]),
    ("a binding key must not have expired", "store/account.c", "e.expires_at > 0 AND e.expires_at <= now_us()", "e.expires_at < 0", ["eab"]),
    ("a binding needs a secret that is the key's", "store/account.c", "t.secret = e.secret OR (t.secret = e.previous", "true OR (t.secret = e.previous", ["eab"]),
    ("the secret before a rotation ends", "store/account.c", "AND e.previous_until > now_us())", ")", ["eab"]),
    ("what is refused leaves the account key free", "store/account.c", "WHERE outcome = 0 ORDER BY tenant, thumbprint, n", "ORDER BY tenant, thumbprint, n", ["eab"]),
    ("a disabled binding key stops finalize", "store/finalize.c", "WHEN a.eab_kid <> '' AND e.status IS DISTINCT FROM 1 THEN 8 ", "", ["eab"]),
    ("binding keys are made all or none", "store/eab.c", "FROM t JOIN b ON b.n = 0 ORDER", "FROM t ORDER", ["eab"]),
    ("a repeated rotation keeps the previous secret", "store/eab.c", "previous = CASE WHEN $3 & 2 > 0 AND e.secret <> $5", "previous = CASE WHEN $3 & 2 > 0", ["eab", "doubt"]),
    ("the server ends an account whatever its key", "store/account_change.c", "WHEN t.revoke THEN CASE", "WHEN t.revoke AND a.key_version = t.key_version THEN CASE", ["listing"]),
    ("an account that its client has ended is not revoked", "store/account_change.c", "CASE WHEN a.status IN \"\n        \"(1, 3) THEN 1", "CASE WHEN a.status IN \"\n        \"(1, 2, 3) THEN 1", ["listing"]),
    ("a name that is looked for is a whole name", "store/listing.c", "position($6 IN s.identifiers) > 0", "position(substr($6, 4) IN s.identifiers) > 0", ["listing"]),
    ("decisions of one flush are added up", "store/authz.c", "authzs_pending = o.authzs_pending - s.good", "authzs_pending = o.authzs_pending - least(s.good, 1)", ["rules", "store"]),
    ("a deactivated authorization ends a ready order", "store/authz.c", "(o.status = 1 OR (o.status = 2 AND \"\n            \"s.bad))", "o.status = 1 AND (s.bad OR NOT \"\n            \"s.bad)", ["rules"]),
    ("where orders prove control anew only what was asked for alone is taken over", "store/order_create.c", "AND (NOT p.alone OR h.order_id = h.id) ", "", ["reuse"]),
    ("an authorization outlives the partition of its order", "store/authz.c", "        !leaves_have(f->store, LEAF_AUTHZS, authz_leaf)) {", "        !leaves_have(f->store, LEAF_AUTHZS, authz_leaf) || !leaves_have(f->store, LEAF_ORDERS, order_leaf)) {", ["reuse"]),
    ("a pre-authorization needs a valid account", "store/authz_create.c", "k AS (SELECT FROM accounts WHERE id = $2 AND status = 1 AND", "k AS (SELECT FROM accounts WHERE id = $2 AND", ["reuse"]),
    ("a pending authorization of an order is no pre-authorization", "store/authz_create.c", "AND z.order_id \"\n            \"= z.id)", "\"\n            \")", ["reuse"]),
    ("an order becomes ready by its counter", "store/authz.c", "WHEN o.authzs_pending - s.good <= 0 THEN 2", "WHEN o.authzs_pending - s.good <= 1 THEN 2", ["store", "rules"]),
    ("one order is finalized once in a flush", "store/finalize.c", "if (intent_leaf(cmd) == leaf && flush_is_first(f, cmd, intent_order))", "if (intent_leaf(cmd) == leaf)", ["rules", "store"]),
    ("an order must be ready", "store/finalize.c", "WHEN o.status <> 2 THEN 3", "WHEN o.status <> 2 AND false THEN 3", ["store", "rules"]),
    ("an order must not have expired", "store/finalize.c", "WHEN o.expires_at <= now_us() THEN 4", "", ["store"]),
    ("the account must be valid", "store/finalize.c", "WHEN a.id IS NULL OR a.status <> 1 THEN 5", "", ["store", "rules"]),
    ("the key must be the one that signed", "store/finalize.c", "WHEN a.key_version <> t.key_version THEN 6", "", ["store", "rules"]),
    ("authorizations must be valid, unexpired, the account's", "store/finalize.c", "WHEN b.bad IS NOT NULL OR o.authzs <> t.authzs THEN 7", "WHEN o.authzs <> t.authzs THEN 7", ["store", "rules"]),
    ("authorizations must be the order's", "store/finalize.c", "WHEN b.bad IS NOT NULL OR o.authzs <> t.authzs THEN 7", "WHEN b.bad IS NOT NULL THEN 7", ["rules"]),
    ("only an account's own authorizations are taken over", "store/order_create.c", "WHERE account = p.account AND ", "WHERE ", ["reuse"]),
    ("an authorization stands for its identifier", "store/order_create.c", "AND identifier = p.identifier ORDER", "ORDER", ["reuse"]),
    ("only valid authorizations are taken over", "store/order_create.c", "WHERE h.status = 2 AND h.wildcard", "WHERE h.wildcard", ["reuse"]),
    ("what stands for a name does not for its wildcard", "store/order_create.c", " AND h.wildcard = p.wildcard ", " ", ["reuse"]),
    ("what is taken over must last", "store/order_create.c", "h.expires_at > now_us() + p.least", "h.expires_at > now_us()", ["reuse"]),
    ("nothing is taken over unless asked", "store/order_create.c", "AND p.least > 0 ", "", ["reuse"]),
    ("an order ends with what it took over", "store/order_create.c", "least(t.expires_at, w.until)", "t.expires_at", ["reuse"]),
    ("a look for authorizations is bounded", "store/order_create.c", "REUSE_LOOKS = 16", "REUSE_LOOKS = 1600", ["reuse"]),
    ("an authorization is made only where the order names it", "store/order_create.c", "AND position(uuid_send(t.id) IN \"\n        \"o.authzs) > 0", "\"\n        \"", ["reuse"]),
    ("what an order holds of others is locked at finalize", "store/finalize.c", "ORDER BY id FOR \"\n                                     \"SHARE) h", "ORDER BY id \"\n                                     \") h", ["reuse"]),
    ("an order ends with its authorizations", "store/finalize.c", "(d.outcome = 7 AND o.authzs = d.authzs)", "(d.outcome = 77 AND o.authzs = d.authzs)", ["reuse", "rules"]),
    ("a caller's wrong list does not end an order", "store/finalize.c", "(d.outcome = 7 AND o.authzs = d.authzs)", "(d.outcome = 7)", ["rules"]),
    ("a repeat finds its own intent by its salt", "store/finalize.c", "AND i.salt = t.salt", "AND i.salt <> t.salt", ["doubt", "store"]),
    ("one order gets the place of a certificate", "store/replacement.c", " WHERE r.order_id = excluded.instead_of\"", "\"", ["renewal"]),
    ("the place of an order that has ended is given away", "store/replacement.c", "DO UPDATE SET order_id = excluded.order_id, instead_of = \"\n            \"excluded.instead_of WHERE r.order_id = excluded.instead_of\"", "DO NOTHING\"", ["renewal"]),
    ("a cancelled rule moves nothing", "store/renewal.c", "w.cancelled_at = 0 AND ", "", ["renewal"]),
    ("a rule is about what was there when it was made", "store/renewal_rules.c", "least($6, now_us() \"\n              \"/ 1000000)", "$6 \"\n              \"", ["renewal"]),
    ("a flush writes one place once", "store/replacement.c", "SELECT DISTINCT ON (t.serial) t.serial", "SELECT t.serial", ["renewal"]),
    ("a place is given to the certificate's account", "store/replacement.c", " AND c.account = t.account ", " ", ["renewal"]),
    ("a place needs a good account", "store/replacement.c", "a.tenant = t.tenant AND \"\n            \"a.key_version = t.key_version ", "a.tenant = t.tenant \"\n            \"", ["renewal"]),
    ("an order without its place is none", "store/order_create.c", "JOIN %s r ON r.serial = t.replaced AND r.order_id = t.id ", "JOIN %s r ON r.serial = t.replaced ", ["renewal"]),
    ("rows of limits are locked before they are counted", "store/limit.c", "    rate_locks_send(f);\n    for", "    if (f->count > 1000) rate_locks_send(f);\n    for", ["limit"]),
    ("limits take all or nothing", "store/limit.c", "\"AND NOT EXISTS (SELECT FROM b) ORDER", "\"ORDER", ["limit"]),
    ("a key counts once in a command", "store/limit.c", "SELECT DISTINCT ON (key) * FROM unnest", "SELECT * FROM unnest", ["limit"]),
    ("no more is owed than a limit lets through", "store/limit.c", "least(next, at + room)", "next", ["limit"]),
    ("what rests earns no more than the limit", "store/limit.c", "greatest(coalesce(r.tat, 0), now.at)", "coalesce(r.tat, now.at)", ["limit"]),
    ("of two certificates one is kept", "store/finalize.c", "o.status = 3 RETURNING o.id), ", "o.status IN (3, 4) RETURNING o.id), ", ["store"]),
    ("what is committed is not open any more", "store/finalize.c", "\"w AS (DELETE FROM intents_open w USING won WHERE w.order_id = won.id) \"", "\"w AS (SELECT 1) \"", ["rules"]),
    ("an intent is closed only when its order is invalid", "store/order.c", "ON o.id = t.id AND o.status = 5), ", "ON o.id = t.id), ", ["rules"]),
    ("the first burned serial stays", "store/order.c", "AND i.burned_serial IS NULL AND length(o.burned) > 0), ", "AND length(o.burned) > 0), ", ["rules"]),
    ("a claim skips what another has", "store/finalize.c", "\"FOR UPDATE SKIP LOCKED), \"", "\"LIMIT 100000), \"", ["rules", "store"]),
    ("of two revocations the first stays", "store/revocation.c", "if (col_int(r, i, 3) != c->tag) c->outcome = REVOCATION_ALREADY;", "if (col_int(r, i, 3) == 0) c->outcome = REVOCATION_ALREADY;", ["revocation"]),
    ("a repeated revocation finds its own work", "store/revocation.c", "if (col_int(r, i, 3) != c->tag) c->outcome", "if (f->in_doubt || col_int(r, i, 3) != c->tag) c->outcome", ["doubt"]),
    ("one certificate is revoked once in a flush", "store/revocation.c", "SELECT DISTINCT ON (serial) serial, issuer, crl_shard, reason, \"\n        \"now_us(), not_after, tag FROM d WHERE outcome = 1 ORDER BY serial, n ON CONFLICT DO \"\n        \"NOTHING RETURNING", "SELECT serial, issuer, crl_shard, reason, \"\n        \"now_us(), not_after, tag FROM d WHERE outcome = 1 ORDER BY serial, n RETURNING", ["revocation"]),
    ("another account needs authorizations for all names", "store/revocation.c", "bool_and(EXISTS (", "bool_or(EXISTS (", ["revocation"]),
    ("authorizations to revoke must be valid", "store/revocation.c", "z.wildcard = p.wildcard AND z.status = 2 \"", "z.wildcard = p.wildcard \"", ["revocation"]),
    ("authorizations to revoke must not have expired", "store/revocation.c", "AND z.expires_at > now_us())) AS held", ")) AS held", ["revocation"]),
    ("a wildcard is not its base", "store/revocation.c", "AND z.wildcard = p.wildcard ", "", ["revocation"]),
    ("no names are no right to revoke", "store/revocation.c", "NOT coalesce(z.held, false)", "NOT coalesce(z.held, true)", ["revocation"]),
    ("who revokes is valid", "store/revocation.c", "WHEN t.by_account AND (a.id IS NULL OR a.status <> 1) THEN 5 \"", "\"", ["revocation"]),
    ("who revokes signs with the present key", "store/revocation.c", "WHEN t.by_account AND a.key_version <> t.key_version THEN 6 \"", "\"", ["revocation"]),
    ("what has expired is not revoked", "store/revocation.c", "WHEN (c.not_after + 1) * 1000000 <= now_us() THEN 4 ", "", ["revocation"]),
    ("a revocation is news for its CRL", "store/revocation.c", "DISTINCT issuer, shard FROM i WHERE shard > 0) s) \"", "DISTINCT issuer, shard FROM i WHERE shard < 0) s) \"", ["revocation"]),
    ("revocations go behind their certificates", "store/leaf.c", "{\"revocations\", HOUR_S, LEAF_CERTIFICATES, true}", "{\"revocations\", HOUR_S, LEAF_ORDERS, true}", ["partition"]),
    ("CRLs go with the revocations of their hour", "store/partition.c", "\"DELETE FROM crls WHERE shard / %d = %lld; \"", "\"DELETE FROM crls WHERE shard / %d = -%lld; \"", ["partition"]),
    ("a CRL is kept under the lease only", "store/crl.c", "AND token = $8 AND until > now_us() FOR \"", "AND token >= 0 * $8 FOR \"", ["crl"]),
    ("a CRL takes the place of the one it was made after", "store/crl.c", "WHERE \"\n        \"k.number = $3 RETURNING", "WHERE \"\n        \"k.number >= $3 RETURNING", ["crl"]),
    ("a CRL is looked for when a third of its time has passed", "store/crl.c", "issuer = $1 AND 3 * (now - this_update)", "issuer = $1 AND 2 * (now - this_update)", ["crl"]),
    ("changes that a CRL has not seen stay", "store/crl.c", "USING u WHERE x.id = ANY($9)", "USING u WHERE x.shard = $2 AND $9::uuid[] IS NOT NULL", ["crl"]),
    ("burned serials are on a CRL", "store/order.c", "        burned_send(f, leaf);\n", "", ["crl"]),
    ("a data error halves the batch", "store/flush.c", "        if (f->count > 1)\n            flush_halve(f);\n        else\n            refuse_row", "        if (f->count > 1000)\n            flush_halve(f);\n        else\n            refuse_row", ["store"]),
    ("deadlocks and serialization failures are tried again", "store/flush.c", "{\"40\", \"55P03\",", "{\"55P03\",", ["store", "rules"]),
    ("a lock that is not granted is tried again", "store/flush.c", "\"55P03\", ", "", ["rules", "store"]),
    ("a lost commit is unknown, and resolved", "store/flush.c", "        f->in_doubt |= !f->read;\n        flush_again(f, RETRY_MS);", "        flush_end(f, ERR(STORE_BUSY));", ["doubt", "store"]),
    ("nothing is let out before a synchronous write", "store/flush.c", "if (f->in_doubt) plain(", "if (f->in_doubt && f->count > 1000) plain(", ["doubt"]),
    ("lock waits end", "store/conn.c", "SET lock_timeout = '2s'; ", "", ["rules", "store"]),
    ("writes have no statement timeout", "store/conn.c", "\"SET statement_timeout = 0; SET lock_timeout", "\"SET statement_timeout = '20ms'; SET lock_timeout", ["doubt", "rules", "store"]),
    ("the wait for a standby that was cancelled is unknown", "store/conn.c", "canceling wait for synchronous replication", "canceling nothing of this kind", ["doubt"]),
    ("a server that takes no writes is left", "store/conn.c", "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool, ", "SELECT false, ", ["doubt"]),
    ("partitions need the lease", "store/partition.c", "AND token = %llu AND until > now_us() ", "AND token >= 0 * %llu ", ["partition"]),
    ("what is past is dropped only after a day", "store/partition.c", "%s > now_us() - %lld", "%s > now_us() + 0 * %lld", ["partition"]),
    ("a newer schema is refused", "store/migrate.c", "if (version > STORE_SCHEMA_VERSION) {", "if (version > STORE_SCHEMA_VERSION + 1000) {", ["migrate"]),
    ("a migration of another content is refused", "store/migrate.c", "TRY(checksum_check(pg, &migrations[i], note, size));", "(void)checksum_check;", ["migrate"]),
]


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


def tests_of(rows):
    return sorted({t for row in rows for t in row[4]})


def prepare(folder, rows):
    """A copy of the sources with a build of its own, in which everything passes."""
    names = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT).stdout.split("\0")
    for name in filter(None, names):
        os.makedirs(os.path.join(folder, os.path.dirname(name)), exist_ok=True)
        shutil.copy2(os.path.join(ROOT, name), os.path.join(folder, name))
    env = dict(os.environ, CERTMILL_DEPS=os.environ.get("CERTMILL_DEPS", os.path.join(ROOT, ".deps")))
    done = run(["cmake", "--preset", "dev"], cwd=folder, env=env)
    if done.returncode != 0:
        sys.exit("mutants: " + done.stdout + done.stderr)
    for test in tests_of(rows):
        if fails(folder, test) is not None:
            sys.exit(f"mutants: store_{test}_test fails without any change")


def fails(folder, test):
    """None when the test passes; else why not. A change that does not build proves nothing."""
    built = run(["cmake", "--build", "--preset", "dev", "--target", f"store_{test}_test"], cwd=folder)
    if built.returncode != 0:
        raise RuntimeError("it does not build:\n" + built.stdout[-2000:])
    done = run(["timeout", "150", os.path.join(folder, "build/dev/tests", f"store_{test}_test")])
    if done.returncode == 0:
        return None
    failed = [line.split()[-1] for line in (done.stdout + done.stderr).splitlines() if line.startswith("[  FAILED  ]")]
    return failed[0] if failed else f"exit code {done.returncode}"


def survives(folder, row):
    name, file, there, instead, tests = row
    path = os.path.join(folder, file)
    with open(path, encoding="utf-8") as f:
        whole = f.read()
    if there not in whole:
        return f"{file} has no `{there}` any more: mend the row"
    try:
        with open(path, "w", encoding="utf-8") as f:
            f.write(whole.replace(there, instead))
        why = next((f"store_{t}_test: {w}" for t in tests for w in [fails(folder, t)] if w is not None), None)
    except RuntimeError as e:
        return str(e)
    finally:
        with open(path, "w", encoding="utf-8") as f:
            f.write(whole)
    print(f"{name}: {why or 'NOTHING FAILED'}", flush=True)
    return None if why else "nothing failed without it"


def main():
    words = sys.argv[1:]
    rows = [r for r in ROWS if not words or any(w in r[0] for w in words)]
    with tempfile.TemporaryDirectory(prefix="certmill-mutants-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        prepare(folder, rows)
        left = [(r[0], s) for r in rows for s in [survives(folder, r)] if s]
    for name, why in left:
        print(f"{name}: {why}")
    print(f"{len(rows) - len(left)} passed, {len(left)} failed")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())

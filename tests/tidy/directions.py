#!/usr/bin/env python3
"""directions: each file includes only what its folder may see (design.md section 2), and says what only its folder may say."""
import os
import re

import tree

PROTO = ["proto"] + ["proto/" + f for f in "base text der jose http tls grpc p256 rpc".split()]
CLUSTER = ["cluster", "cluster/core", "cluster/rpc", "cluster/node"]
BELOW_DER = ["proto", "proto/base", "proto/text", "proto/der"]
# All that api may see of the signer: its client, and the numbers of the errors that the client returns.
SIGNER_CLIENT = ["signer/client.h", "signer/err.h"]
API = PROTO + CLUSTER + ["store"] + SIGNER_CLIENT + ["api"]

# An area is a folder; a file belongs to the longest one that fits. Its row lists the areas and files it may include.
RULES = {
    "proto": ["proto", "proto/base"],
    "proto/base": ["proto", "proto/base"],
    "proto/text": ["proto", "proto/base", "proto/text"],
    "proto/der": BELOW_DER,
    "proto/jose": BELOW_DER + ["proto/jose"],
    "proto/http": BELOW_DER + ["proto/http"],
    "proto/tls": BELOW_DER + ["proto/tls"],
    "proto/grpc": BELOW_DER + ["proto/grpc"],
    "proto/p256": BELOW_DER + ["proto/p256"],
    "proto/rpc": BELOW_DER + ["proto/rpc"],
    "cluster": PROTO + ["cluster", "cluster/core"],
    "cluster/core": PROTO + ["cluster", "cluster/core"],
    "cluster/rpc": PROTO + ["cluster", "cluster/core", "cluster/rpc"],
    "cluster/node": PROTO + CLUSTER,
    "store": PROTO + CLUSTER + ["store"],
    "signer": PROTO + CLUSTER + ["signer"],
    "api": API + ["api/acme", "api/admin", "api/validate", "api/jobs", "api/cli"],
    "api/acme": API + ["api/acme"],
    "api/admin": API + ["api/admin"],
    "api/validate": API + ["api/validate"],
    "api/jobs": API + ["api/jobs"],
    "api/cli": API + ["api/admin", "api/cli"],
    "bench": None,  # may see all
    "tests": None,
}

# Headers from outside that only some areas may use.
OUTSIDE = {
    r"liburing\.h": ["cluster", "bench", "tests"],
    r"pthread\.h|threads\.h": ["cluster", "bench", "tests"],
    r"libpq(-fe|/.*)?\.h|postgresql/.*": ["store", "tests"],
    r"nghttp2/.*|llhttp\.h": ["proto/http", "tests"],
    r"yyjson\.h": ["proto/text", "tests"],
    r"yaml\.h": ["cluster", "tests"],
    r"ares\.h": ["api/validate", "cluster", "tests"],
}

# Text that only some files may hold.
SAYINGS = [
    # Threads share nothing but messages and counters; besides them the log's level and the TLS ticket keys, which are replaced
    # while every core reads them.
    (r"\b_Atomic\b|<stdatomic\.h>|\b__atomic_\w+|\b__sync_\w+",
     r"cluster/core/(mailbox|metrics|log)\.[ch]|proto/tls/tls\.c|(tests|bench)/.*",
     "atomics live in cluster/core/mailbox.c and metrics.c; a reason for another place goes to tests/tidy/directions.py"),
    (r'"\s*(SELECT\s.*\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|CREATE\s+TABLE\s)', r"(store|tests)/.*",
     "SQL lives in store/"),
]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)


def area_of(path):
    """The longest area that `path` lies in; None when it lies in none."""
    folder = os.path.dirname(path)
    while folder and folder not in RULES:
        folder = os.path.dirname(folder)
    return folder or None


def within(path, areas):
    return any(path == a or path.startswith(a + "/") for a in areas)


def include_problem(path, included, quoted):
    """What is wrong with `path` including `included`; None when nothing is."""
    area = area_of(path)
    for header, areas in OUTSIDE.items():
        if re.fullmatch(header, included):
            return None if within(path, areas) else f"only {', '.join(areas)} may include <{included}>"
    target = area_of(included)
    if target is None:
        # A quoted name that starts at no folder of ours is either relative (not our habit) or of a library.
        return f'"{included}" is not named from the root' if quoted and "/" not in included else None
    if os.path.basename(included) == "internal.h" and not path.startswith(("tests/", os.path.dirname(included) + "/")):
        return f'"{included}" is for its own folder'
    allowed = RULES[area]
    if allowed is None:
        return None if area != "bench" or target != "tests" else "nobody uses tests"
    if included in allowed or target in allowed:
        return None
    return f'{area} must not see "{included}"'


def file_problems(path, text):
    """Every problem of one file."""
    found = []
    for m in INCLUDE.finditer(text):
        problem = include_problem(path, m.group(2), m.group(1) == '"')
        if problem:
            found.append(f"{path}:{text.count(chr(10), 0, m.start()) + 1}: {problem}")
    code = re.sub(r"//[^\n]*", "", text)
    for saying, allowed, why in SAYINGS:
        m = re.search(saying, code)
        if m and not re.fullmatch(allowed, path):
            found.append(f"{path}:{code.count(chr(10), 0, m.start()) + 1}: {why}")
    return found


def main():
    names = [n for n in tree.files(".c", ".h") if area_of(n)]
    tree.tell("files", len(names), [p for n in names for p in file_problems(n, tree.read(n))])


if __name__ == "__main__":
    main()

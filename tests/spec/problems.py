"""The problems that all other cases met; run last."""
import os
import re

from cases import OTHER
from certmill import check


def problems_have_registered_types(dev, ctx):
    """Every problem that the other cases met: its type is in the registry, and `identifier` is never at its top."""
    with open(os.path.join(os.environ["CERTMILL_SOURCE_DIR"], "api", "problem.h"), encoding="utf-8") as f:
        made = set(re.findall(r'X\(\w+, "(\w+)", \d+\)', f.read()))
    registry = set("accountDoesNotExist alreadyRevoked badCSR badNonce badPublicKey badRevocationReason badSignatureAlgorithm caa compound connection dns externalAccountRequired incorrectResponse invalidContact malformed orderNotReady rateLimited "
                   "rejectedIdentifier serverInternal tls unauthorized unsupportedContact unsupportedIdentifier userActionRequired autoRenewalCanceled autoRenewalExpired autoRenewalCancellationInvalid autoRenewalRevocationNotSupported "
                   "unknownDelegation alreadyReplaced".split())
    check(len(made) > 20, str(made))
    check(made - registry == OTHER, f"not registered: {made - registry}")
    check(len(ctx.problems) > 10 and {p["type"].rsplit(":", 1)[1] for p in ctx.problems} <= made, "types")
    subs = [sub for problem in ctx.problems for sub in problem.get("subproblems", [])]
    check(all("identifier" not in problem for problem in ctx.problems), "an identifier at the top")
    check(len(subs) > 10, "no subproblems were met")
    for sub in subs:
        identifier = sub["identifier"]
        check(set(identifier) == {"type", "value"} and identifier["type"] in ("dns", "ip", "email") and isinstance(identifier["value"], str) and sub["type"].rsplit(":", 1)[1] in made, str(sub))

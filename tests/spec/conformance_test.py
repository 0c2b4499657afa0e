"""conformance: the cases of this folder, one after the other, against one running server. A module's cases are its public functions (dev, ctx), in their order."""
import inspect
import os
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e")]
from certmill import Dev, Responder, check  # noqa: E402

import problems  # noqa: E402
import rfc8555_6  # noqa: E402
import rfc8555_7  # noqa: E402
import threats  # noqa: E402
from cases import Context  # noqa: E402

MODULES = (rfc8555_6, rfc8555_7, threats, problems)


def cases_of(module):
    return [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__ and list(inspect.signature(f).parameters) == ["dev", "ctx"]]


def main():
    only = sys.argv[1:]
    with Dev() as dev:
        responder = Responder(dev.http_port)
        ctx = Context(dev, responder)
        for module in MODULES:
            for case in cases_of(module):
                if only and case.__name__ not in only:
                    continue
                began = time.monotonic()
                case(dev, ctx)
                print(f"{module.__name__}.{case.__name__}: ok ({time.monotonic() - began:.1f} s)", flush=True)
        responder.close()
        check("ERROR: AddressSanitizer" not in dev.log("acme-0.log") and "runtime error" not in dev.log("acme-0.log"), "sanitizer findings")


if __name__ == "__main__":
    main()

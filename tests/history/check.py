#!/usr/bin/env python3
"""check: looks for violations of the invariants in a folder of records: check.py --history DIR. Exit code 1 when there are any."""
import argparse
import sys
import time

from invariants import ALL, violations
from records import Records


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--history", required=True, metavar="DIR")
    records = Records.load(parser.parse_args().history)
    started = time.monotonic()
    found = violations(records)
    for name, text in found:
        print(f"{name}: {text}")
    print(f"{len(records.calls)} calls, {len(records.orders)} orders, {len(records.certificates)} certificates, {len(records.journal)} journal records: {len(found)} violations of {len(ALL)} invariants in {time.monotonic() - started:.1f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

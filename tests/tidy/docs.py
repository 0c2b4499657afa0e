#!/usr/bin/env python3
"""docs: what the documents point at exists, and generated documents are what the programs print: docs.py CERTMILL CERTMILL_SIGNER."""
import os
import re
import subprocess
import sys

import tree

CASE = re.compile(r"`(tests/[\w/]+\.(?:c|py)): (\w+)`")
PLACE = re.compile(r"`((?:api|bench|cluster|docs|proto|scripts|signer|store|tests)/[\w./-]+)`")

REQUIREMENTS, REQUIREMENT_COUNT = "docs/client-requirements.md", 60


def reference_problems(name, text, exists, read):
    """Cases of tests that are not in their file, and paths that are not there."""
    for path, case in CASE.findall(text):
        if not exists(path):
            yield f"{name}: {path} does not exist"
        elif not re.search(rf"\b{case}\(", read(path)):
            yield f"{name}: {path} has no {case}"
    for path in PLACE.findall(text):
        if not exists(path.rstrip("/")):
            yield f"{name}: {path} does not exist"


def requirement_problems(name, text, count):
    """Rows of a numbered table that are missing, out of order, or neither tested nor said to be absent."""
    rows = re.findall(r"^\| (\d+) \|(.*)\|(.*)\|$", text, re.MULTILINE)
    if [int(n) for n, _, _ in rows] != list(range(1, count + 1)):
        yield f"{name} does not have the rows 1 to {count} in their order"
    for number, _, tests in rows:
        if not CASE.search(tests) and not tests.strip().startswith("not here yet"):
            yield f"{name}: row {number} names no test"


def generated_problems(name, programs):
    parts = [subprocess.run([p, "config", "reference"], check=True, capture_output=True, text=True).stdout for p in programs]
    if tree.read(name) != "\n".join(parts):
        yield f"{name} is not what the programs print: run scripts/docs"


def main():
    names = [n for n in tree.files(".md")]
    problems = [p for n in names for p in reference_problems(n, tree.read(n), lambda q: os.path.exists(os.path.join(tree.ROOT, q)), tree.read)]
    problems += requirement_problems(REQUIREMENTS, tree.read(REQUIREMENTS), REQUIREMENT_COUNT)
    problems += generated_problems("docs/configuration.md", sys.argv[1:])
    tree.tell("documents", len(names), problems)


if __name__ == "__main__":
    main()

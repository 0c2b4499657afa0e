#!/usr/bin/env python3
"""places: no tracked file names a place of one machine or one network: a checkout's path, a home, a package registry's host."""
import os
import re

import tree

# Folders that hold checkouts on many machines, so their names alone give nothing away.
COMMON = ("/", "/tmp", "/root", "/home", "/srv", "/opt", "/usr/src", "/var/tmp", "/builds")
PLACES = [re.escape(p.rstrip("/") + "/") for p in {tree.ROOT, os.path.dirname(tree.ROOT)} if p not in COMMON]
PLACES += [r"/home/[a-z]\w*/", r"://(?:deb|registry|proxy|pypi|static|mirror)s?\.[a-z]", r"\bsnapshot\.debian\b"]
PATTERN = re.compile("|".join(PLACES))


def place_problems(name, text):
    return [f"{name}:{text.count(chr(10), 0, m.start()) + 1}: {m.group(0)}" for m in PATTERN.finditer(text)]


def main():
    names = [n for n in tree.files() if not n.startswith("tests/fuzz/corpus/")]
    tree.tell("files", len(names), [p for n in names for p in place_problems(n, tree.read(n))])


if __name__ == "__main__":
    main()

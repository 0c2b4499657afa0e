#!/usr/bin/env python3
"""lint: clang-tidy with .clang-tidy's checks over every source.

usage: lint.py [--deep]
Without --deep the static analyser is left out: it takes three times as long and does not see through CHECK and pool_get, so
what it says needs a reader.
"""
import re
import subprocess
import sys

import tree

VERSION = "14"  # Debian 12's; each version knows other checks


def lint_problems(entry):
    depth = [] if "--deep" in sys.argv else ["--checks=-clang-analyzer-*"]
    run = subprocess.run(["clang-tidy", "-p", tree.BUILD, "--quiet", *depth, f"{tree.ROOT}/{entry[0]}"], capture_output=True, text=True)
    lines = [l for l in run.stdout.splitlines() if re.search(r": (warning|error): ", l)]
    return lines or ([f"{entry[0]}: clang-tidy failed:\n{run.stderr.strip()}"] if run.returncode != 0 else [])


def main():
    version = re.search(r"version (\d+)", subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True).stdout).group(1)
    if version != VERSION:
        tree.skip(f"clang-tidy is {version} here; .clang-tidy is written for {VERSION}")
    entries = list(tree.compile_commands())
    tree.tell("sources", len(entries), sorted({p for ps in tree.each(lint_problems, entries) for p in ps}))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""clang: everything that gcc builds compiles with clang, too, without a warning."""
import re
import subprocess

import tree

WARNINGS = """-Wall -Wextra -Wshadow -Wformat=2 -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith -Wcast-qual
    -Wwrite-strings -Wimplicit-fallthrough -Werror""".split()
NOT_CLANG = re.compile(r"-flto.*|-fno-fat-lto-objects|-fcf-protection.*|-fstack-clash-protection|-o|-c|-D_FORTIFY_SOURCE.*")


def warning_problems(entry):
    source, directory, arguments = entry
    flags = tree.search_flags([a for a in arguments[1:] if not NOT_CLANG.fullmatch(a)])
    run = subprocess.run(["clang", "-fsyntax-only", "-O1", *flags, *WARNINGS, f"{tree.ROOT}/{source}"], cwd=directory,
                         capture_output=True, text=True)
    return [run.stderr.strip()] if run.returncode != 0 else []


def main():
    entries = list(tree.compile_commands())
    tree.tell("sources", len(entries), [p for ps in tree.each(warning_problems, entries) for p in ps])


if __name__ == "__main__":
    main()

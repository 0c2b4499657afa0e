#!/usr/bin/env python3
"""hardening: each release program is position independent, has its tables read-only before main, canaries, checked string
functions, no executable stack, branch targets marked, no run path; and no source is compiled for more than a plain x86-64 but
the vector code that is chosen at run time.

usage: hardening.py FILE...
"""
import os
import re
import subprocess
import sys

import tree


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def hardening_problems(path):
    name = os.path.basename(path)
    header, segments, dynamic = run("readelf", "-hW", path), run("readelf", "-lW", path), run("readelf", "-dW", path)
    symbols = run("nm", "-D", path)
    main = run("objdump", "-d", "--no-show-raw-insn", "--disassemble=main", path)
    stack = re.search(r"GNU_STACK\s+(?:\S+\s+){5}(\w+)", segments)
    checks = [
        (re.search(r"Type:\s+DYN", header) and re.search(r"FLAGS_1.*\bPIE\b", dynamic), "it is not position independent"),
        ("GNU_RELRO" in segments, "it has no read-only relocations"),
        (re.search(r"BIND_NOW|FLAGS_1.*\bNOW\b", dynamic), "it binds lazily, so its tables stay writable"),
        (stack and "E" not in stack.group(1), "its stack is executable"),
        (not re.search(r"LOAD\s+(?:\S+\s+){5}(?:RWE)", segments), "it has a segment that is writable and executable"),
        ("__stack_chk_fail" in symbols, "it has no stack canaries"),
        (re.search(r"__\w+_chk\b", symbols.replace("__stack_chk_fail", "")), "its string functions are not checked"),
        (not re.search(r"\b(RPATH|RUNPATH)\b", dynamic), "it carries a run path"),
        ("TEXTREL" not in dynamic, "its code is relocated"),
    ]
    if "X86-64" in header:
        # The property note itself cannot be: BoringSSL's assembly of this version is not marked, and the linker says so for all.
        checks.append(("endbr64" in main, "its functions do not start with a branch target (-fcf-protection)"))
    return [f"{name}: {why}" for fine, why in checks if not fine]


def baseline_problems(source, arguments):
    """Wider instructions are for proto/p256 and its tests, which ask the processor first."""
    return [f"{source} is compiled with {a}: the program would die on an older processor" for a in arguments
            if re.match(r"-march=|-mcpu=|-mtune=native|-m(avx|sse[34]|bmi|adx|fma|aes)", a)
            and (a.endswith("=native") or not source.startswith(("proto/p256/", "tests/unit/proto/p256/")))]


def main():
    if len(sys.argv) == 1:
        tree.skip("this build has no programs")
    problems = [p for path in sys.argv[1:] for p in hardening_problems(path)]
    problems += [p for source, _, arguments in tree.compile_commands() for p in baseline_problems(source, arguments)]
    tree.tell("programs", len(sys.argv) - 1, problems)


if __name__ == "__main__":
    main()

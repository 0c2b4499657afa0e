#!/usr/bin/env python3
"""base_table: writes base_table.c, the multiples of P-256's generator that sign adds up (base_table.h says which).

usage: base_table.py OUT
"""
import sys

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)  # FIPS 186-5, SP 800-186 section 3.2.1.3
WINDOWS, ENTRIES, WORDS = 32, 128, 8


def add(p, q):
    """The sum of two points that are not opposite."""
    if p == q:
        slope = 3 * (p[0] ** 2 - 1) * pow(2 * p[1], -1, P) % P
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P) % P
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def words(point):
    """x and y in Montgomery form (2^260), four words of 64 bits each, the least first."""
    return [(c * 2**260 % P) >> 64 * i & (2**64 - 1) for c in point for i in range(4)]


def windows():
    """For each window its 128 odd multiples."""
    base = G
    for _ in range(WINDOWS):
        twice, point, entries = add(base, base), base, []
        for _ in range(ENTRIES):
            entries.append(words(point))
            point = add(point, twice)
        yield entries
        for _ in range(8):
            base = add(base, base)


def array(name, shape, rows):
    yield f"const uint64_t {name}{shape} __attribute__((aligned(64))) = {{\n"
    for entry in rows:
        yield "{" + ",".join(f"{{{','.join(map(hex, row))}}}" for row in entry) + "},\n"
    yield "};\n"


def main():
    table = list(windows())
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write('// Written by proto/p256/base_table.py.\n#include "proto/p256/base_table.h"\n')
        out.writelines(array("p256_base_columns", f"[{WINDOWS}][{WORDS}][{ENTRIES}]", [list(zip(*entries)) for entries in table]))


if __name__ == "__main__":
    main()

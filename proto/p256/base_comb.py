#!/usr/bin/env python3
"""base_comb: writes base_comb.c, the generator's comb by which signatures are verified (base_comb.h says which points).

usage: base_comb.py OUT
"""
import sys

from base_table import G, P, add, words

TEETH, SPACING = 13, 20


def teeth():
    """2^(20t) G for each tooth."""
    point = G
    for _ in range(TEETH):
        yield point
        for _ in range(SPACING):
            point = add(point, point)


def minus(point):
    return point[0], P - point[1]


def rows():
    """All rows, each by one addition from its neighbour in Gray's order: one sign changes, by twice its tooth."""
    once = list(teeth())
    twice = [add(p, p) for p in once]
    point = once[-1]
    for p in once[:-1]:
        point = add(point, minus(p))
    table = {0: point}
    for i in range(1, 1 << (TEETH - 1)):
        gray, t = i ^ i >> 1, (i & -i).bit_length() - 1
        point = add(point, twice[t] if gray >> t & 1 else minus(twice[t]))
        table[gray] = point
    return [table[e] for e in range(len(table))]


def main():
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write('// Written by proto/p256/base_comb.py.\n#include "proto/p256/base_comb.h"\n'
                  "const uint64_t p256_base_comb[BASE_ROWS][8] __attribute__((aligned(64))) = {\n")
        out.writelines("{" + ",".join(map(hex, words(row))) + "},\n" for row in rows())
        out.write("};\n")


if __name__ == "__main__":
    main()

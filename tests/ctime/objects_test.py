#!/usr/bin/env python3
"""objects_test: objects.py finds what it is for, in code that a compiler makes of small functions that do what is forbidden.

usage: objects_test.py COMPILER
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = r"""
#include <stddef.h>
#include <stdint.h>
#include <immintrin.h>
#define FAR __attribute__((noinline))
typedef __m512i vec;
FAR void good(uint64_t *out, const uint64_t *in, size_t n) {
    for (size_t i = 0; i < n; i++) {
        vec v = _mm512_loadu_si512(in + 8 * i);
        _mm512_storeu_si512(out + 8 * i, _mm512_mask_mov_epi64(v, _mm512_movepi64_mask(v), _mm512_madd52lo_epu64(v, v, v)));
    }
}
FAR void lane_jump(uint64_t *out, const uint64_t *in) {
    vec v = _mm512_loadu_si512(in);
    if (_mm512_movepi64_mask(v)) v = _mm512_madd52lo_epu64(v, v, v);
    _mm512_storeu_si512(out, v);
}
FAR uint64_t word_jump(const uint64_t *in) { uint64_t x = in[0]; for (int i = 0; i < 3; i++) x = x * in[1] + 1; return x & 1 ? good((uint64_t *)in, in, (size_t)x), x : 5; }
FAR uint64_t address(const uint64_t *table, const uint64_t *in) { return table[in[0] & 15]; }
FAR uint64_t division(const uint64_t *in) { return in[0] / in[1]; }
FAR uint64_t below(const uint64_t *in) { return in[0] + 1; }
FAR uint64_t result_jump(const uint64_t *in) { uint64_t r = below(in); return r > 7 ? good((uint64_t *)in, in, (size_t)r), r : 4; }
FAR void gather(uint64_t *out, const uint64_t *table, const uint64_t *in) {
    _mm512_storeu_si512(out, _mm512_i64gather_epi64(_mm512_loadu_si512(in), table, 8));
}
typedef void (*step)(uint64_t *, const uint64_t *);
FAR void through(step s, uint64_t *out, const uint64_t *in) { s(out, in); out[0]++; }
FAR void pointer(uint64_t *out, const uint64_t *in) { through(lane_jump, out, in); out[1]++; }
int main(int argc, char **argv) {
    uint64_t a[128] = {(uint64_t)argc}, b[128] = {1, 2, 3};
    (void)argv;
    good(a, b, (size_t)argc), lane_jump(a, b), gather(a, b, b), pointer(a, b);
    return (int)(word_jump(b) + address(a, b) + division(b) + result_jump(b));
}
"""
# function: what must be said of it; None: nothing.
WANT = {"good": None, "lane_jump": "a jump depends on a secret", "word_jump": "a jump depends on a secret",
        "address": "an address depends on a secret", "division": "a division of a secret", "result_jump": "a jump depends on a secret",
        "gather": "a vector of addresses", "pointer": "lane_jump: ", "absent": "not in "}


def read(program, *args):
    run = subprocess.run([sys.executable, os.path.join(HERE, "objects.py"), program, *args], capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


def main():
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        source, program = os.path.join(folder, "t.c"), os.path.join(folder, "t")
        with open(source, "w", encoding="ascii") as out:
            out.write(SOURCE)
        for level in ("-O1", "-O2", "-O3"):
            subprocess.run([sys.argv[1], level, "-std=gnu17", "-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512ifma", source, "-o", program], check=True)
            for function, want in WANT.items():
                code, text = read(program, function)
                if (code == 0) != (want is None) or (want is not None and want not in text):
                    failures.append(f"{level} {function}: exit code {code}, wanted {want!r}:\n{text}")
            code, text = read(program, "good", "--least", "2")
            if code == 0:
                failures.append(f"{level}: too few functions were read, and nothing was said")
    print("\n".join(failures) or f"objects_test: {len(WANT)} functions at three levels, all as they should be")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

// Seeds for the P-256 targets: inputs that reach each of the choices at the top of a target.
#include <string.h>

#include "tests/fuzz/seeds.h"

// fill writes octets of a simple sequence.
static void fill(uint8_t *out, size_t n, uint8_t from)
{
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)(from + 37 * i);
}

static void verify_seeds(struct seeds *s)
{
    // Two batches of valid signatures, by table and without; one octet wrong in each number; every
    // edge in each number; plain octets.
    uint8_t valid[24], spoiled[5 * 3], edges[5 * 10 * 3], plain[4 * 161];
    for (size_t i = 0; i < sizeof valid; i++) valid[i] = (uint8_t)(i & 7);
    for (size_t i = 0; i < 5; i++)
        memcpy(spoiled + 3 * i, (uint8_t[]){(uint8_t)(8 | (i & 7)), (uint8_t)(32 * i + 9), 4}, 3);
    for (size_t i = 0; i < 50; i++)
        memcpy(edges + 3 * i,
               (uint8_t[]){(uint8_t)(24 | (i & 7)), (uint8_t)(i % 5), (uint8_t)(i / 5)}, 3);
    fill(plain, sizeof plain, 1);
    for (size_t i = 0; i < sizeof plain; i += 161) plain[i] = 16;
    seed(s, "p256_verify", "valid", slice_of(valid, sizeof valid));
    seed(s, "p256_verify", "spoiled", slice_of(spoiled, sizeof spoiled));
    seed(s, "p256_verify", "edges_1", slice_of(edges, 120));
    seed(s, "p256_verify", "edges_2", slice_of(edges + 60, sizeof edges - 60));
    seed(s, "p256_verify", "plain", slice_of(plain, sizeof plain));
}

static void sign_seeds(struct seeds *s)
{
    uint8_t batch[32 + 17 * 81], zero[33] = {0}, many[32 + 40] = {0};
    fill(batch, sizeof batch, 9);
    for (size_t i = 32; i < sizeof batch; i += 81) batch[i] = 1 | 8 | 16;
    many[31] = 1; // the least key
    memset(many + 32, 2, 40);
    seed(s, "p256_sign", "batch", slice_of(batch, sizeof batch));
    seed(s, "p256_sign", "key_zero", slice_of(zero, sizeof zero));
    seed(s, "p256_sign", "key_one", slice_of(many, sizeof many));
    memset(many, 0xff, 32);
    seed(s, "p256_sign", "key_large", slice_of(many, sizeof many));
}

static void layers_seeds(struct seeds *s)
{
    // Loads into all registers, then each operation on each; modulo p and modulo n.
    uint8_t program[1 + 6 * 60 + 2 * 40];
    fill(program, sizeof program, 3);
    for (uint8_t modulus = 0; modulus < 2; modulus++) {
        program[0] = modulus;
        for (uint8_t i = 0; i < 6; i++) {
            program[1 + 60 * i] = 0;
            program[2 + 60 * i] = i;
            if (i > 3) memset(program + 3 + 60 * i, i == 4 ? 0xff : 0, 58);
        }
        for (uint8_t i = 0; i < 40; i++) {
            program[1 + 360 + 2 * i] = (uint8_t)(1 + i);
            program[2 + 360 + 2 * i] = (uint8_t)(7 * i);
        }
        seed(s, "p256_layers", modulus == 0 ? "field" : "scalar",
             slice_of(program, sizeof program));
    }
}

void seeds_p256(struct seeds *s)
{
    verify_seeds(s);
    sign_seeds(s);
    layers_seeds(s);
}

#include "bench/micro/p256_bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/p256_work.h"
#include "bench/micro/sample.h"

enum {
    ROUNDS = 40,
    ROUNDS_QUICK = 8,
    SLICE_US = 15000,
    SLICE_US_QUICK = 4000,
    BATCH = 128,      // of the figures for signing
    BATCH_VERIFY = 64 // of those for verifying
};

static const char usage[] =
    "usage: certmill-bench p256 [options]\n"
    "\n"
    "Signs and verifies on P-256 with certmill's kernels, BoringSSL and, where it is there, "
    "crypto_mb, in turns\n"
    "on one core, and prints operations per second, the median time of one, and the ratio to "
    "BoringSSL (each\n"
    "ratio is taken within a short round). Nonce derivation is included. CPU time of the thread.\n"
    "\n"
    "  --json FILE   also write the figures that the targets are for, as one JSON object\n"
    "  --crypto-mb D look for crypto_mb below this folder, as scripts/setup unpacks it, too\n"
    "  --no-ifma     the scalar kernel, as on a processor without AVX-512 IFMA\n"
    "  --quick       a fifth of the time, less exact\n"
    "  --help        this text\n"
    "\n"
    "exit code: 0 measured, 1 a result was wrong or a file could not be written, 2 the command "
    "line "
    "is not usable\n";

// The rows of the table. What a row is compared with stands in the same row.
enum {
    SIGN_128,
    SIGN_64,
    SIGN_32,
    SIGN_8,
    SIGN_1,
    CACHED_64,
    CACHED_8,
    CACHED_1,
    UNKNOWN_64,
    UNKNOWN_8,
    TABLES_64,
    SIGN_VERIFY_128,
    BORINGSSL_SIGN,
    BORINGSSL_VERIFY,
    CRYPTO_MB_SIGN,
    CRYPTO_MB_VERIFY,
    CASES
};

// target: how many times BoringSSL's speed the project asks for; 0 where it asks for none.
static const struct {
    const char *name;
    void (*run)(void *);
    unsigned count;
    int baseline, beside; // rows: BoringSSL's and crypto_mb's of the same work; -1: none
    double target;
} rows[CASES] = {
    [SIGN_128] = {"sign", p256_sign_ours, 128, BORINGSSL_SIGN, CRYPTO_MB_SIGN, 12},
    [SIGN_64] = {"sign", p256_sign_ours, 64, BORINGSSL_SIGN, CRYPTO_MB_SIGN, 0},
    [SIGN_32] = {"sign", p256_sign_ours, 32, BORINGSSL_SIGN, CRYPTO_MB_SIGN, 0},
    [SIGN_8] = {"sign", p256_sign_ours, 8, BORINGSSL_SIGN, CRYPTO_MB_SIGN, 4},
    [SIGN_1] = {"sign", p256_sign_ours, 1, BORINGSSL_SIGN, CRYPTO_MB_SIGN, 1 / 1.1},
    [CACHED_64] = {"verify, cached", p256_verify_cached, 64, BORINGSSL_VERIFY, CRYPTO_MB_VERIFY,
                   16},
    [CACHED_8] = {"verify, cached", p256_verify_cached, 8, BORINGSSL_VERIFY, CRYPTO_MB_VERIFY, 10},
    [CACHED_1] = {"verify, cached", p256_verify_cached, 1, BORINGSSL_VERIFY, CRYPTO_MB_VERIFY, 0},
    [UNKNOWN_64] = {"verify, unknown", p256_verify_unknown, 64, BORINGSSL_VERIFY, CRYPTO_MB_VERIFY,
                    4.2},
    [UNKNOWN_8] = {"verify, unknown", p256_verify_unknown, 8, BORINGSSL_VERIFY, CRYPTO_MB_VERIFY,
                   0},
    [TABLES_64] = {"table of a key", p256_tables, 64, -1, -1, 0},
    [SIGN_VERIFY_128] = {"sign and check", p256_sign_and_verify, 128, -1, -1, 0},
    [BORINGSSL_SIGN] = {"BoringSSL sign", p256_sign_boringssl, 8, -1, -1, 0},
    [BORINGSSL_VERIFY] = {"BoringSSL verify", p256_verify_by_boringssl, 8, -1, -1, 0},
    [CRYPTO_MB_SIGN] = {"crypto_mb sign", p256_sign_crypto_mb, 8, BORINGSSL_SIGN, -1, 0},
    [CRYPTO_MB_VERIFY] = {"crypto_mb verify", p256_verify_crypto_mb, 8, BORINGSSL_VERIFY, -1, 0},
};

struct bench {
    struct p256_work *work;
    struct sample_case *cases[CASES]; // NULL: not measured
    struct p256_way ways[CASES];
    unsigned rounds;
};

static void processor_print(void)
{
    char line[256] = "";
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL && strncmp(line, "model name", 10) != 0)
        ;
    if (f != NULL) fclose(f);
    const char *colon = strchr(line, ':');
    printf("processor  %s", colon != NULL ? colon + 2 : "unknown\n");
}

static void cases_run(struct bench *b, unsigned slice_us)
{
    struct sample_case *present[CASES];
    size_t n = 0;
    for (int i = 0; i < CASES; i++) {
        bool mb = i == CRYPTO_MB_SIGN || i == CRYPTO_MB_VERIFY;
        if (mb && b->work->crypto_mb == NULL) continue;
        b->ways[i] = (struct p256_way){b->work, rows[i].count};
        b->cases[i] = calloc(1, sizeof *b->cases[i]);
        CHECK(b->cases[i] != NULL);
        b->cases[i]->name = rows[i].name;
        b->cases[i]->run = rows[i].run;
        b->cases[i]->context = &b->ways[i];
        b->cases[i]->operations = rows[i].count;
        present[n++] = b->cases[i];
    }
    sample_run(present, n, b->rounds, slice_us);
}

// ratio: how many times as fast as `other`; 0 where that was not measured.
static double ratio(const struct bench *b, int row, int other)
{
    if (other < 0 || b->cases[other] == NULL) return 0;
    return sample_ratio(b->cases[other], b->cases[row], b->rounds);
}

static double per_second(const struct bench *b, int row)
{
    return 1e6 / sample_summary(b->cases[row], b->rounds).median;
}

static void cell_print(double ratio_or_none, const char *unit)
{
    if (ratio_or_none > 0)
        printf("  %6.2f%s", ratio_or_none, unit);
    else
        printf("  %6s%*s", "-", (int)strlen(unit), "");
}

static void table_print(const struct bench *b)
{
    printf("%-18s %6s  %10s  %8s  %8s  %8s  %10s  %8s  %s\n", "", "batch", "per second", "us, min",
           "median", "p99", "BoringSSL", "crypto_mb", "target");
    for (int i = 0; i < CASES; i++) {
        if (b->cases[i] == NULL) continue;
        struct sample_summary s = sample_summary(b->cases[i], b->rounds);
        double r = ratio(b, i, rows[i].baseline);
        printf("%-18s %6u  %10.0f  %8.3f  %8.3f  %8.3f   ", rows[i].name, rows[i].count,
               1e6 / s.median, s.min, s.median, s.p99);
        cell_print(r, "x");
        cell_print(ratio(b, i, rows[i].beside), "x");
        if (rows[i].target > 0 && b->work->kernel == P256_IFMA)
            printf("   %.2fx %s", rows[i].target, r >= rows[i].target ? "met" : "NOT MET");
        if (i == SIGN_VERIFY_128 && b->work->kernel == P256_IFMA)
            printf("                          6 us %s", s.median < 6 ? "met" : "NOT MET");
        putchar('\n');
    }
}

static int json_write(const struct bench *b, const char *path)
{
    FILE *f = fopen(path, "we");
    if (f == NULL) return perror(path), 1;
    fprintf(f,
            "{\"sign_per_s\":%.0f,\"sign_vs_boringssl\":%.3f,\"verify_cached_per_s\":%.0f,"
            "\"verify_cached_vs_boringssl\":%.3f,\"verify_unknown_per_s\":%.0f,"
            "\"verify_unknown_vs_boringssl\":%.3f,\"sign_verify_us\":%.3f,\"batch\":%d}\n",
            per_second(b, SIGN_128), ratio(b, SIGN_128, BORINGSSL_SIGN), per_second(b, CACHED_64),
            ratio(b, CACHED_64, BORINGSSL_VERIFY), per_second(b, UNKNOWN_64),
            ratio(b, UNKNOWN_64, BORINGSSL_VERIFY),
            sample_summary(b->cases[SIGN_VERIFY_128], b->rounds).median, BATCH);
    if (ferror(f) | fclose(f)) return perror(path), 1;
    return 0;
}

static int measure(enum p256_kernel kernel, bool quick, const char *json, const char *deps)
{
    struct bench b = {.rounds = quick ? ROUNDS_QUICK : ROUNDS};
    struct crypto_mb mb;
    bool has_mb = crypto_mb_load(&mb, deps);
    b.work = aligned_alloc(64, (sizeof *b.work + 63) / 64 * 64);
    CHECK(b.work != NULL);
    sample_pin();
    CHECK(!failed(p256_work_init(b.work, kernel, has_mb ? &mb : NULL)));
    processor_print();
    printf("kernel     %s\nBoringSSL  %s\ncrypto_mb  %s\n\n", p256_kernel_name(kernel),
           CERTMILL_BORINGSSL_VERSION,
           has_mb ? mb.name : "not found (scripts/setup --group bench unpacks it)");
    const char *wrong = p256_work_check(b.work);
    int code = 1;
    if (wrong != NULL) {
        fprintf(stderr, "p256: %s gives wrong results: nothing was measured\n", wrong);
    } else {
        cases_run(&b, quick ? SLICE_US_QUICK : SLICE_US);
        table_print(&b);
        code = json != NULL ? json_write(&b, json) : 0;
    }
    for (int i = 0; i < CASES; i++) free(b.cases[i]);
    p256_work_fini(b.work);
    free(b.work);
    return code;
}

int p256_bench_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", required_argument, NULL, 'j'}, {"crypto-mb", required_argument, NULL, 'm'},
        {"no-ifma", no_argument, NULL, 'n'},    {"quick", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0}};
    enum p256_kernel kernel = p256_kernel_detect();
    const char *json = NULL, *deps = NULL;
    bool quick = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'h') return fputs(usage, stdout), 0;
        if (c == '?') return fputs(usage, stderr), 2;
        if (c == 'j') json = optarg;
        if (c == 'm') deps = optarg;
        if (c == 'n') kernel = P256_SCALAR;
        if (c == 'q') quick = true;
    }
    if (optind != argc) return fputs(usage, stderr), 2;
    return measure(kernel, quick, json, deps);
}

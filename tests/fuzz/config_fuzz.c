// config_parse on any bytes. Oracle: a refusal is a sentence with the file's name and what was
// expected; what is accepted gives the same configuration when it is read again.
#include "cluster/err.h"
#include "proto/err.h"
#include "tests/unit/cluster/config_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err sample_parse(struct sample *out, struct arena *a, const uint8_t *data,
                               size_t size, char *error)
{
    return config_parse(out, sizeof *out, sample_rows, a, slice_of(data, size), "f.yaml", "/etc/x",
                        error);
}

static void diff_check(const struct sample *a, const struct sample *b)
{
    struct config_changes changes;
    struct buf keys;
    buf_init(&keys, 1 << 16);
    CHECK(!failed(config_diff(&changes, &keys, sample_rows, a, b)));
    CHECK(changes.reloadable + changes.restart == 0);
    buf_fini(&keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[CONFIG_ERROR_MAX];
    struct arena a;
    struct sample first, second;
    arena_init(&a, 1 << 20);
    struct err err = sample_parse(&first, &a, data, size, error);
    if (failed(err)) {
        CHECK(memchr(error, 0, sizeof error) != NULL && strncmp(error, "f.yaml:", 7) == 0);
        CHECK(strstr(error, "expected") != NULL || strlen(error) == sizeof error - 1);
    } else {
        CHECK(first.name != NULL && first.listen.count >= 1 && first.listen.count <= 3);
        CHECK(!failed(sample_parse(&second, &a, data, size, error)));
        diff_check(&first, &second);
    }
    arena_fini(&a);
    return 0;
}

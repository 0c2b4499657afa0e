#include "proto/text/base64url.h"
#include "proto/text/json.h"
#include "tests/fuzz/mutate.h"

enum { PART_CHANGE_MAX = 32 };

static const char *const names[] = {"protected", "payload", "signature"};

// parts_read decodes the three members of a flattened JWS.
static bool parts_read(struct slice out[3], struct arena *a, struct slice body)
{
    struct json j;
    struct slice text;
    if (failed(json_parse(&j, a, body))) return false;
    for (size_t i = 0; i < 3; i++) {
        if (failed(json_string(json_get(j, names[i]), &text)) ||
            failed(base64url_decode(&out[i], a, text)))
            return false;
    }
    return true;
}

static bool parts_write(struct buf *out, const struct slice parts[3])
{
    for (size_t i = 0; i < 3; i++) {
        if (failed(buf_printf(out, "%s\"%s\":\"", i == 0 ? "{" : ",", names[i])) ||
            failed(base64url_encode_buf(out, parts[i])) || failed(buf_add_str(out, "\"")))
            return false;
    }
    return !failed(buf_add_str(out, "}"));
}

size_t mutate_jws(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    struct arena a;
    struct buf out;
    struct slice parts[3];
    struct fuzz_choices c = {seed};
    if (fuzz_below(&c, 4) == 0) return LLVMFuzzerMutate(data, size, size_max);
    arena_init(&a, 1 << 20);
    buf_init(&out, size_max);
    bool ok = parts_read(parts, &a, slice_of(data, size));
    struct slice *part = &parts[fuzz_below(&c, 2) == 0 ? 0 : fuzz_below(&c, 3)];
    uint8_t *room = ok ? arena_alloc(&a, part->n + PART_CHANGE_MAX) : NULL;
    if (room != NULL) {
        memcpy(room, part->p, part->n);
        *part = slice_of(room, LLVMFuzzerMutate(room, part->n, part->n + PART_CHANGE_MAX));
        ok = parts_write(&out, parts);
    }
    size_t n = ok && room != NULL ? buf_len(&out) : 0;
    if (n > 0) memcpy(data, buf_slice(&out).p, n);
    buf_fini(&out);
    arena_fini(&a);
    return n > 0 ? n : LLVMFuzzerMutate(data, size, size_max);
}

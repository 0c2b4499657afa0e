#include <string.h>

#include "tests/fuzz/mutate.h"

enum { PREFACE_LEN = 24, HEAD_LEN = 9, FRAMES_MAX = 256, PAYLOAD_CHANGE_MAX = 32 };

struct frames {
    size_t at[FRAMES_MAX + 1]; // where each begins; behind the last one, where it ends
    size_t count;
};

static size_t payload_len(const uint8_t *head)
{
    return (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
}

static void frames_read(struct frames *f, const uint8_t *data, size_t size)
{
    size_t at = size >= PREFACE_LEN && memcmp(data, "PRI", 3) == 0 ? PREFACE_LEN : 0;
    f->count = 0;
    while (f->count < FRAMES_MAX && size - at >= HEAD_LEN &&
           payload_len(data + at) <= size - at - HEAD_LEN) {
        f->at[f->count++] = at;
        at += HEAD_LEN + payload_len(data + at);
    }
    f->at[f->count] = at;
}

// exchange puts `piece` in place of what stands from `start` to `end`.
static size_t exchange(uint8_t *data, size_t size, size_t size_max, size_t start, size_t end,
                       const uint8_t *piece, size_t n)
{
    if (size - (end - start) + n > size_max) return size;
    memmove(data + start + n, data + end, size - end);
    memcpy(data + start, piece, n);
    return size - (end - start) + n;
}

static size_t payload_change(uint8_t *frame, size_t n)
{
    size_t len = LLVMFuzzerMutate(frame + HEAD_LEN, n - HEAD_LEN,
                                  n - HEAD_LEN + PAYLOAD_CHANGE_MAX);
    frame[0] = (uint8_t)(len >> 16);
    frame[1] = (uint8_t)(len >> 8);
    frame[2] = (uint8_t)len;
    return HEAD_LEN + len;
}

static void head_change(uint8_t *frame, struct fuzz_choices *c)
{
    switch (fuzz_below(c, 3)) {
    case 0:
        frame[3] = (uint8_t)fuzz_below(c, 11);
        break;
    case 1:
        frame[4] ^= (uint8_t)(1u << fuzz_below(c, 8));
        break;
    default:
        frame[8] = (uint8_t)fuzz_below(c, 16);
    }
}

size_t mutate_h2(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    static uint8_t piece[2 * MUTATE_SIZE_MAX];
    struct frames f;
    struct fuzz_choices c = {seed};
    frames_read(&f, data, size);
    if (f.count == 0 || size > MUTATE_SIZE_MAX / 2 || fuzz_below(&c, 8) == 0)
        return LLVMFuzzerMutate(data, size, size_max);
    size_t i = fuzz_below(&c, f.count), k = fuzz_below(&c, f.count);
    size_t start = f.at[i], end = f.at[i + 1], n = end - start;
    memcpy(piece, data + start, n);
    switch (fuzz_below(&c, 6)) {
    case 0: // dropped
        return exchange(data, size, size_max, start, end, piece, 0);
    case 1: // another one in front of it, which may be the same
        n = f.at[k + 1] - f.at[k];
        memcpy(piece, data + f.at[k], n);
        return exchange(data, size, size_max, start, start, piece, n);
    case 2: // a copy of it on the next stream of that side
        piece[8] = (uint8_t)(piece[8] + 2);
        return exchange(data, size, size_max, end, end, piece, n);
    case 3:
        head_change(piece, &c);
        break;
    default:
        n = payload_change(piece, n);
    }
    return exchange(data, size, size_max, start, end, piece, n);
}

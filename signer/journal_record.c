#include "signer/journal_record.h"

#include <openssl/sha.h>

enum {
    FIXED_LEN = 1 + 16 + HASH_LEN + SERIAL_LEN + HASH_LEN + HASH_LEN + 8 + 4,
    MARK_LEN = 4,
    SECTOR = 512
};

static const uint32_t end_mark = 0xc3e5d99b;

static const uint32_t *crc_table(void)
{
    static uint32_t table[256];
    if (table[1] != 0) return table;
    for (uint32_t i = 256; i-- > 0;) { // 1 is made last of those that are not zero
        uint32_t v = i;
        for (int k = 0; k < 8; k++) v = v >> 1 ^ (0x82f63b78u & (0u - (v & 1)));
        table[i] = v;
    }
    return table;
}

static uint32_t crc32c(const uint8_t *p, size_t n)
{
    const uint32_t *table = crc_table();
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) crc = crc >> 8 ^ table[(crc ^ p[i]) & 0xff];
    return ~crc;
}

static void put(struct buf *b, uint64_t v, unsigned n, bool *ok)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < n; i++) bytes[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    *ok = *ok && !failed(buf_add(b, slice_of(bytes, n)));
}

static void put_bytes(struct buf *b, const uint8_t *p, size_t n, bool *ok)
{
    *ok = *ok && !failed(buf_add(b, slice_of(p, n)));
}

static void put_slice(struct buf *b, struct slice s, bool *ok)
{
    put(b, s.n, 4, ok);
    put_bytes(b, s.p, s.n, ok);
}

static uint64_t get(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

static bool get_slice(struct slice *out, struct slice *in)
{
    if (in->n < 4) return false;
    size_t n = get(in->p, 4);
    if (n > in->n - 4) return false;
    *out = slice_sub(*in, 4, n);
    *in = slice_sub(*in, 4 + n, in->n);
    return true;
}

// ---- one record

static bool payload_write(struct buf *b, const struct journal_record *r, uint32_t batch)
{
    bool ok = true;
    put(b, r->kind, 1, &ok);
    put_bytes(b, r->order.b, sizeof r->order.b, &ok);
    put_bytes(b, r->intent_hash, HASH_LEN, &ok);
    put_bytes(b, r->serial, SERIAL_LEN, &ok);
    put_bytes(b, r->tbs_hash, HASH_LEN, &ok);
    put_bytes(b, r->certificate_hash, HASH_LEN, &ok);
    put(b, (uint64_t)r->time_s, 8, &ok);
    put(b, batch, 4, &ok);
    put_slice(b, r->caller, &ok);
    put_slice(b, r->intent, &ok);
    put_slice(b, r->certificate, &ok);
    put(b, end_mark, MARK_LEN, &ok);
    return ok;
}

void record_hash(uint8_t out[HASH_LEN], const uint8_t *record, size_t n) { SHA256(record, n, out); }

bool record_write(struct buf *out, uint8_t previous[HASH_LEN], const struct journal_record *r,
                  uint32_t batch)
{
    struct buf b;
    uint8_t head[RECORD_HEAD_LEN] = {0};
    buf_init(&b, RECORD_HEAD_LEN + RECORD_MAX);
    memcpy(head + 8, previous, HASH_LEN);
    bool ok = !failed(buf_add(&b, slice_of(head, sizeof head))) && payload_write(&b, r, batch);
    if (ok) {
        uint8_t *p = b.p + b.head;
        size_t n = buf_len(&b), payload = n - RECORD_HEAD_LEN;
        uint32_t crc = crc32c(p + 8, n - 8);
        for (int i = 0; i < 4; i++) p[i] = (uint8_t)(payload >> (24 - 8 * i));
        for (int i = 0; i < 4; i++) p[4 + i] = (uint8_t)(crc >> (24 - 8 * i));
        ok = !failed(buf_add(out, slice_of(p, n)));
        if (ok) record_hash(previous, p, n);
    }
    buf_fini(&b);
    return ok;
}

struct slice record_payload(const uint8_t *p, size_t n, size_t offset)
{
    if (offset > n || n - offset < RECORD_HEAD_LEN) return SLICE_NONE;
    const uint8_t *at = p + offset;
    size_t length = get(at, 4), room = n - offset - RECORD_HEAD_LEN;
    if (length < FIXED_LEN + MARK_LEN || length > RECORD_MAX || length > room) return SLICE_NONE;
    if (get(at + RECORD_HEAD_LEN + length - MARK_LEN, MARK_LEN) != end_mark) return SLICE_NONE;
    if (crc32c(at + 8, HASH_LEN + length) != get(at + 4, 4)) return SLICE_NONE;
    return slice_of(at + RECORD_HEAD_LEN, length);
}

bool record_follows(const uint8_t *record, const uint8_t previous[HASH_LEN])
{
    return memcmp(record + 8, previous, HASH_LEN) == 0;
}

bool record_read(struct journal_record *r, uint32_t *out_batch, struct slice in)
{
    if (in.n < FIXED_LEN + MARK_LEN || in.p[0] < JOURNAL_SIGNED || in.p[0] > JOURNAL_CRL)
        return false;
    const uint8_t *p = in.p;
    r->kind = (enum journal_kind)p[0];
    memcpy(r->order.b, p + 1, 16);
    memcpy(r->intent_hash, p + 17, HASH_LEN);
    memcpy(r->serial, p + 49, SERIAL_LEN);
    memcpy(r->tbs_hash, p + 69, HASH_LEN);
    memcpy(r->certificate_hash, p + 101, HASH_LEN);
    r->time_s = (int64_t)get(p + 133, 8);
    *out_batch = (uint32_t)get(p + 141, 4);
    struct slice rest = slice_sub(in, FIXED_LEN, in.n - FIXED_LEN - MARK_LEN);
    return get_slice(&r->caller, &rest) && get_slice(&r->intent, &rest) &&
           get_slice(&r->certificate, &rest) && rest.n == 0;
}

// ---- where records end

// written_end is behind the last byte at or behind `offset` that is not zero; `offset` when none
// is.
static size_t written_end(const uint8_t *p, size_t n, size_t offset)
{
    while (n > offset && p[n - 1] == 0) n--;
    return n;
}

// acknowledged_behind: a record whose batch began behind `offset` was written after the batch at
// `offset` had been synced and answered.
static bool acknowledged_behind(const uint8_t *p, size_t end, size_t offset)
{
    struct journal_record r;
    uint32_t batch;
    for (size_t at = offset; at < end; at++) {
        struct slice payload = record_payload(p, end, at);
        if (payload.n == 0) continue;
        if (at == offset) return true; // whole, and of another chain
        if (record_read(&r, &batch, payload) && batch > offset) return true;
        at += RECORD_HEAD_LEN + payload.n - 1;
    }
    return false;
}

// sector_unwritten: a whole sector, or what remains of the first one, is zero. The first two octets
// of a length are zero in every record of ordinary size, so so small a rest says nothing.
static bool sector_unwritten(const uint8_t *p, size_t end, size_t offset)
{
    for (size_t at = offset; at < end;) {
        size_t next = (at / SECTOR + 1) * SECTOR;
        if (next > end) return false;
        size_t i = at;
        while (i < next && p[i] == 0) i++;
        if (i == next && next - at > 2) return true;
        at = next;
    }
    return false;
}

// ends_in_mark allows for one wrong bit, which may be what has been damaged.
static bool ends_in_mark(const uint8_t *p, size_t end, size_t offset)
{
    if (end - offset < MARK_LEN) return false;
    return __builtin_popcount((uint32_t)get(p + end - MARK_LEN, MARK_LEN) ^ end_mark) <= 1;
}

enum record_end record_end_judge(const uint8_t *p, size_t n, size_t offset)
{
    size_t end = written_end(p, n, offset);
    if (end == offset) return RECORD_END_CLEAN;
    if (acknowledged_behind(p, end, offset)) return RECORD_END_DAMAGED;
    if (sector_unwritten(p, end, offset) || !ends_in_mark(p, end, offset)) return RECORD_END_TORN;
    return RECORD_END_DAMAGED;
}

#include "signer/vault.h"

#include <errno.h>
#include <openssl/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cluster/core/files.h"
#include "cluster/core/owned.h"
#include "proto/err.h"
#include "signer/err.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

// A block is this header and its payload. Blocks cover the region without gaps; free neighbours are
// merged by the search.
struct block {
    size_t size; // payload bytes, a multiple of 16
    size_t used; // payload bytes asked for; 0: free
};

_Static_assert(sizeof(struct block) == 16, "payloads are aligned to 16");

static struct {
    uint8_t *base;
    enum vault_kind kind;
    const void *thread;
    size_t used;
} vault;

static __thread unsigned depth; // vault_enter calls that were not left

static void *region_secret(void)
{
    int fd = (int)syscall(SYS_memfd_secret, (unsigned long)0x80000 /* O_CLOEXEC */);
    if (fd < 0) return NULL;
    void *p = MAP_FAILED;
    if (ftruncate(fd, VAULT_SIZE) == 0)
        p = mmap(NULL, VAULT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED) return NULL;
    // Shared memory cannot be wiped on fork, so a child does not get it at all. It is locked and
    // never dumped by its nature; MADV_DONTDUMP says so in the map's flags as well.
    if (madvise(p, VAULT_SIZE, MADV_DONTFORK) == 0 && madvise(p, VAULT_SIZE, MADV_DONTDUMP) == 0)
        return p;
    munmap(p, VAULT_SIZE);
    return NULL;
}

static void *region_locked(void)
{
    void *p = mmap(NULL, VAULT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    // By number: AddressSanitizer's mlock does nothing.
    if (syscall(SYS_mlock, p, (size_t)VAULT_SIZE) == 0 &&
        madvise(p, VAULT_SIZE, MADV_DONTDUMP) == 0 && madvise(p, VAULT_SIZE, MADV_WIPEONFORK) == 0)
        return p;
    int e = errno;
    munmap(p, VAULT_SIZE);
    errno = e;
    return NULL;
}

struct err vault_open(char *note, size_t note_size)
{
    if (vault.base != NULL) return OK;
    void *p = region_secret();
    enum vault_kind kind = VAULT_SECRET;
    if (p == NULL) {
        p = region_locked();
        kind = VAULT_LOCKED;
    }
    if (p == NULL) {
        snprintf(note, note_size,
                 "cannot lock %d KiB of memory for keys (%m): raise the limit of locked memory "
                 "(ulimit -l, LimitMEMLOCK=) to at least that",
                 VAULT_SIZE / 1024);
        return ERR(KEY);
    }
    vault.base = p;
    vault.kind = kind;
    vault.thread = &thread_token;
    *(struct block *)p = (struct block){.size = VAULT_SIZE - sizeof(struct block)};
    return OK;
}

enum vault_kind vault_kind(void) { return vault.kind; }
size_t vault_used(void) { return vault.used; }

bool vault_has(const void *p)
{
    return vault.base != NULL && (const uint8_t *)p >= vault.base &&
           (const uint8_t *)p < vault.base + VAULT_SIZE;
}

void vault_enter(void)
{
    CHECK(vault.base == NULL || vault.thread == &thread_token);
    depth++;
}

void vault_leave(void)
{
    CHECK(depth > 0);
    depth--;
}

static struct block *block_next(struct block *b)
{
    uint8_t *next = (uint8_t *)(b + 1) + b->size;
    return next < vault.base + VAULT_SIZE ? (struct block *)(void *)next : NULL;
}

// First fit: a signer holds some dozens of blocks, and the scratch of one RSA signature some dozens
// more.
static struct block *block_find(size_t size)
{
    for (struct block *b = (struct block *)(void *)vault.base; b != NULL; b = block_next(b)) {
        if (b->used != 0) continue;
        for (struct block *n = block_next(b); n != NULL && n->used == 0; n = block_next(b))
            b->size += sizeof *n + n->size;
        if (b->size >= size) return b;
    }
    return NULL;
}

static void *region_alloc(size_t n)
{
    CHECK(vault.thread == &thread_token);
    if (n == 0) n = 1;
    if (n > VAULT_SIZE) return NULL;
    size_t size = (n + 15) & ~(size_t)15;
    struct block *b = block_find(size);
    if (b == NULL) return NULL;
    if (b->size >= size + sizeof *b + 16) {
        struct block *rest = (struct block *)(void *)((uint8_t *)(b + 1) + size);
        *rest = (struct block){.size = b->size - size - sizeof *rest};
        b->size = size;
    }
    b->used = n;
    vault.used += n;
    memset(b + 1, 0, b->size);
    return b + 1;
}

static void region_free(void *p)
{
    CHECK(vault.thread == &thread_token);
    struct block *b = (struct block *)p - 1;
    CHECK(b->used != 0 && b->used <= b->size);
    vault.used -= b->used;
    OPENSSL_cleanse(p, b->size);
    b->used = 0;
}

void *vault_alloc(size_t n)
{
    if (vault.base != NULL) return region_alloc(n);
    void *p = OPENSSL_memory_alloc(n);
    if (p != NULL) memset(p, 0, n);
    return p;
}

void vault_free(void *p)
{
    if (p != NULL) OPENSSL_memory_free(p);
}

// Outside the vault BoringSSL's blocks come from malloc, behind a header with their size, and are
// wiped as BoringSSL itself does.
void *OPENSSL_memory_alloc(size_t size)
{
    if (depth > 0 && vault.base != NULL) return region_alloc(size);
    if (size > SIZE_MAX - sizeof(struct block)) return NULL;
    struct block *b = malloc(sizeof *b + size);
    if (b == NULL) return NULL;
    b->size = size;
    b->used = size;
    return b + 1;
}

void OPENSSL_memory_free(void *p)
{
    if (vault_has(p)) {
        region_free(p);
        return;
    }
    struct block *b = (struct block *)p - 1;
    OPENSSL_cleanse(b, sizeof *b + b->size);
    free(b);
}

size_t OPENSSL_memory_get_size(void *p) { return ((struct block *)p - 1)->used; }

// ---- files

// mode_check: a secret that others may read is none. A group may read, as files of root's that a
// daemon reads by its group.
static struct err mode_check(int fd, char *note, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && (st.st_mode & 037) == 0) return OK;
    snprintf(note, FILES_NOTE_MAX,
             "%s is a secret and may be used by others (mode %04o): chmod 600 it, or 640 for a "
             "group that may read it",
             path, (unsigned)st.st_mode & 07777);
    return ERR(KEY);
}

static struct err secret_alloc(uint8_t **out, int fd, size_t n, char *note, const char *path)
{
    TRY(mode_check(fd, note, path));
    *out = vault_alloc(n + 1);
    if (*out != NULL) return OK;
    snprintf(note, FILES_NOTE_MAX, "no memory to read %s", path);
    return ERR(KEY);
}

struct err file_read_secret(struct slice *out, char *note, int dir, const char *path)
{
    int fd;
    size_t n;
    uint8_t *p;
    TRY(file_open_sized(&fd, &n, note, dir, path));
    struct err e = secret_alloc(&p, fd, n, note, path);
    if (failed(e)) {
        close(fd);
        return e;
    }
    e = file_read_close(fd, p, n, note, path);
    if (failed(e)) {
        vault_free(p);
        return e;
    }
    *out = slice_of(p, n);
    return OK;
}

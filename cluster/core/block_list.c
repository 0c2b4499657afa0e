#include "cluster/core/block_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/err.h"
#include "proto/err.h"

enum { ARENA_MAX = BLOCKED_COUNT_MAX * BLOCKED_DIGEST_LEN + (1 << 20) };

static struct err refuse(char note[FILES_NOTE_MAX], const char *path, const char *why)
{
    snprintf(note, FILES_NOTE_MAX, "%.300s: %s", path, why);
    return ERR(SYSTEM);
}

// text_read takes what the open file holds; the caller frees out->p.
static struct err text_read(struct slice *out, int fd, char note[FILES_NOTE_MAX], const char *path)
{
    struct stat st;
    size_t at = 0;
    if (fstat(fd, &st) != 0) return refuse(note, path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size > BLOCK_LIST_FILE_MAX)
        return refuse(note, path, "is no plain file of at most 256 MiB");
    size_t n = (size_t)st.st_size;
    uint8_t *p = malloc(n + 1);
    if (p == NULL) return refuse(note, path, "there is no memory to read it");
    while (at < n) {
        ssize_t got = read(fd, p + at, n - at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            free(p);
            return refuse(note, path,
                          got < 0 ? strerror(errno) : "became shorter while it was read");
        }
        at += (size_t)got;
    }
    *out = slice_of(p, n);
    return OK;
}

// file_take reads path's text into `fresh`.
static struct err file_take(struct block_list *fresh, char note[FILES_NOTE_MAX], const char *path)
{
    struct slice text;
    const char *why = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return refuse(note, path, strerror(errno));
    struct err e = text_read(&text, fd, note, path);
    close(fd);
    if (failed(e)) return e;
    e = blocked_keys_parse(&fresh->keys, &why, &fresh->arena, text);
    if (failed(e)) snprintf(note, FILES_NOTE_MAX, "%.300s: %s", path, why == NULL ? "" : why);
    free((void *)(uintptr_t)text.p);
    return e;
}

struct err block_list_read(struct block_list *list, char note[FILES_NOTE_MAX], const char *path)
{
    struct block_list fresh = {0};
    arena_init(&fresh.arena, ARENA_MAX);
    struct err e = path == NULL ? OK : file_take(&fresh, note, path);
    if (failed(e)) {
        arena_fini(&fresh.arena);
        return e;
    }
    block_list_fini(list);
    *list = fresh;
    return OK;
}

void block_list_fini(struct block_list *list)
{
    if (list->arena.ceiling != 0) arena_fini(&list->arena);
    *list = (struct block_list){0};
}

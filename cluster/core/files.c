#include "cluster/core/files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/err.h"
#include "proto/err.h"

static struct err fail(char note[FILES_NOTE_MAX], const char *what, const char *path)
{
    const char *cure = errno == EACCES || errno == EPERM ? ": check owner and mode"
                       : errno == ENOSPC                 ? ": make room on this file system"
                       : errno == EROFS                  ? ": mount it writable"
                                                         : "";
    snprintf(note, FILES_NOTE_MAX, "cannot %s %s (%s)%s", what, path, strerror(errno), cure);
    return ERR(SYSTEM);
}

struct err file_open_sized(int *out_fd, size_t *out_n, char note[FILES_NOTE_MAX], int dir,
                           const char *path)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(note, "read", path);
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_SIZE_MAX) {
        close(fd);
        snprintf(note, FILES_NOTE_MAX, "%s is not a file of at most %d bytes", path, FILE_SIZE_MAX);
        return ERR(SYSTEM);
    }
    *out_fd = fd;
    *out_n = (size_t)st.st_size;
    return OK;
}

struct err file_read_close(int fd, uint8_t *p, size_t n, char note[FILES_NOTE_MAX],
                           const char *path)
{
    size_t have = 0;
    while (have < n) {
        ssize_t r = read(fd, p + have, n - have);
        if (r < 0 && errno == EINTR) continue;
        if (r <= 0) break;
        have += (size_t)r;
    }
    close(fd);
    return have == n ? OK : fail(note, "read all of", path);
}

struct err file_read(struct slice *out, struct arena *a, char note[FILES_NOTE_MAX], int dir,
                     const char *path)
{
    int fd;
    size_t n;
    TRY(file_open_sized(&fd, &n, note, dir, path));
    uint8_t *p = arena_alloc(a, n + 1);
    if (p == NULL) {
        close(fd);
        snprintf(note, FILES_NOTE_MAX, "no memory to read %s", path);
        return ERR(NO_SPACE);
    }
    TRY(file_read_close(fd, p, n, note, path));
    p[n] = 0;
    *out = slice_of(p, n);
    return OK;
}

static int write_all(int fd, struct slice s)
{
    while (s.n > 0) {
        ssize_t w = write(fd, s.p, s.n);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) return -1;
        s = slice_sub(s, (size_t)w, s.n);
    }
    return fsync(fd);
}

// The folder that holds `path` is synced, so that the new name survives a crash.
static int folder_sync(int dir, const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash - path);
    if (n >= sizeof folder) return -1;
    memcpy(folder, path, n);
    folder[n] = 0;
    int fd = openat(dir, n == 0 ? (slash == NULL ? "." : "/") : folder,
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    int r = fsync(fd);
    close(fd);
    return r;
}

static struct err write_via(char *note, int dir, const char *path, struct slice content,
                            bool secret, bool replace)
{
    char tmp[4096];
    if (snprintf(tmp, sizeof tmp, "%s.new", path) >= (int)sizeof tmp) {
        errno = ENAMETOOLONG;
        return fail(note, "write", path);
    }
    if (unlinkat(dir, tmp, 0) != 0 && errno != ENOENT) return fail(note, "write", tmp);
    int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                    secret ? 0600 : 0644);
    if (fd < 0) return fail(note, "write", tmp);
    // The umask must not decide, in either direction.
    int r = fchmod(fd, secret ? 0600 : 0644) != 0 || write_all(fd, content) != 0;
    int e = errno;
    if (close(fd) != 0 && !r) r = 1, e = errno;
    if (!r && renameat2(dir, tmp, dir, path, replace ? 0 : RENAME_NOREPLACE) != 0) r = 1, e = errno;
    if (!r) return folder_sync(dir, path) == 0 ? OK : fail(note, "sync the folder of", path);
    unlinkat(dir, tmp, 0);
    errno = e;
    return fail(note, "write", path);
}

struct err file_create(char note[FILES_NOTE_MAX], int dir, const char *path, struct slice content,
                       bool secret)
{
    return write_via(note, dir, path, content, secret, false);
}

struct err file_replace(char note[FILES_NOTE_MAX], int dir, const char *path, struct slice content,
                        bool secret)
{
    return write_via(note, dir, path, content, secret, true);
}

struct err folder_open(int *out, char note[FILES_NOTE_MAX], int dir, const char *path, bool create)
{
    if (create && mkdirat(dir, path, 0700) != 0 && errno != EEXIST) return fail(note, "make", path);
    int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail(note, "open the folder", path);
    *out = fd;
    return OK;
}

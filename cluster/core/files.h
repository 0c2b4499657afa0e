// files: small files: read whole with a bound, written whole or not at all (temporary name, fsync,
// rename, fsync of the folder). Paths are relative to a folder's descriptor, which stays usable
// after privileges were dropped. They block: called at start, by commands and by renewals, on
// main's thread, never on a core.
#pragma once
#include <fcntl.h>

#include "proto/base/arena.h"
#include "proto/base/err.h"
#include "proto/base/slice.h"

enum { FILE_SIZE_MAX = 1 << 20, FILES_NOTE_MAX = 512 };

// file_read puts the whole file into the arena, NUL-terminated (not counted). `note` gets a
// sentence that names `path`. ERR_SYSTEM.
RESULT file_read(struct slice *out, struct arena *a, char note[FILES_NOTE_MAX], int dir,
                 const char *path);
// file_open_sized opens a plain file of at most FILE_SIZE_MAX bytes and says how long it is;
// file_read_close reads exactly n bytes and closes it, whatever comes. ERR_SYSTEM.
RESULT file_open_sized(int *out_fd, size_t *out_n, char note[FILES_NOTE_MAX], int dir,
                       const char *path);
RESULT file_read_close(int fd, uint8_t *p, size_t n, char note[FILES_NOTE_MAX], const char *path);
// file_create writes a file that must not exist; file_replace writes it whether it exists or not.
// Mode is 0600 for `secret`, 0644 otherwise. When they return OK the file survives a crash.
// ERR_SYSTEM.
RESULT file_create(char note[FILES_NOTE_MAX], int dir, const char *path, struct slice content,
                   bool secret);
RESULT file_replace(char note[FILES_NOTE_MAX], int dir, const char *path, struct slice content,
                    bool secret);
// folder_open opens a folder, made with mode 0700 first when `create` is set and it is missing.
// ERR_SYSTEM.
RESULT folder_open(int *out, char note[FILES_NOTE_MAX], int dir, const char *path, bool create);

// vault: memory for secrets: one region that is locked, left out of core dumps, not inherited by a
// fork, and wiped when freed (threat T59). The region is memfd_secret where the kernel has it (then
// not even root reads it through /proc/pid/mem), else locked anonymous memory. BoringSSL allocates
// from it between vault_enter and vault_leave, so that the private parts of keys and the scratch of
// their use lie in it. Process-wide; only the thread that called vault_open may enter; freeing
// belongs to that thread too.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"

enum { VAULT_SIZE = 1 << 20 };

enum vault_kind { VAULT_CLOSED, VAULT_SECRET, VAULT_LOCKED };

// vault_open maps the region; a second call changes nothing. `note` gets a sentence with the cure
// when memory cannot be locked. ERR_KEY.
RESULT vault_open(char *note, size_t note_size);
// vault_kind tells what was opened.
enum vault_kind vault_kind(void);
// vault_enter makes BoringSSL's allocations of this thread come from the vault until vault_leave;
// they nest. While the vault is closed they do nothing, and secrets lie in ordinary memory (tests
// of parts).
void vault_enter(void);
void vault_leave(void);
// vault_alloc returns `n` zeroed bytes aligned for any type from the vault (ordinary memory while
// it is closed), NULL when full.
void *vault_alloc(size_t n);
// vault_free wipes and frees what vault_alloc returned. NULL is fine.
void vault_free(void *p);
// vault_has says whether an address lies in the region: for tests.
bool vault_has(const void *p);
// vault_used is the number of bytes handed out from the region.
size_t vault_used(void);

// BoringSSL calls these for each allocation of the process (openssl/mem.h).
void *OPENSSL_memory_alloc(size_t size);
void OPENSSL_memory_free(void *p);
size_t OPENSSL_memory_get_size(void *p);
// file_read_secret is file_read into memory from vault_alloc, which the caller frees with
// vault_free; `note` holds FILES_NOTE_MAX bytes. A file that more than its owner may write, or more
// than owner and group may read, is refused. ERR_SYSTEM, ERR_KEY.
RESULT file_read_secret(struct slice *out, char *note, int dir, const char *path);

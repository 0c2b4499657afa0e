// block_list: the keys of one file that nobody may use (proto/der/blocked.h). Reading blocks: at
// start and on SIGHUP, on main's thread; what was read is const, any thread may ask it.
#pragma once
#include "cluster/core/files.h"
#include "proto/der/blocked.h"

enum { BLOCK_LIST_FILE_MAX = 256 << 20 }; // bytes

struct block_list { // zeros: an empty list
    struct blocked_keys keys;
    struct arena arena;
};

// block_list_read replaces the list by what `path` holds; NULL is an empty list. When it fails the
// list is as it was, and `note` has a sentence that names the file, and the line where that is to
// blame. ERR_SYSTEM, ERR_BAD_BLOCK_LIST, ERR_NO_SPACE.
RESULT block_list_read(struct block_list *list, char note[FILES_NOTE_MAX], const char *path);
void block_list_fini(struct block_list *list);

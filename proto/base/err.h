// err: the one error value of the project, returned by value and never ignored.
//
// Zero is success. The bits are class | folder | number: policy (retry, metric, HTTP class)
// branches on the class, people read the name and text. Each folder lists its errors once in
// <folder>/err.def and declares them with the pattern at the end of proto/err.h. Detail for humans
// ("line 7: unknown key") does not live here but in a note of the request at hand. Any thread may
// use these functions; err_register is called at start, before the second thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum err_class {
    ERR_CLASS_NONE = 0,
    ERR_CLASS_CLIENT, // the caller sent something wrong: repeating it cannot help
    ERR_CLASS_BUSY,   // a bound was reached or a part is away: repeating it later may help
    ERR_CLASS_PEER,   // another program misbehaved or went away in the middle
    ERR_CLASS_LOCAL,  // this process or host: operating system, configuration, a broken promise of
                      // ours
};

enum err_folder {
    ERR_FOLDER_PROTO = 1,
    ERR_FOLDER_CLUSTER,
    ERR_FOLDER_STORE,
    ERR_FOLDER_SIGNER,
    ERR_FOLDER_API,
    ERR_FOLDER_BENCH,
    ERR_FOLDER_COUNT,
};

struct err {
    uint32_t v;
};

// struct err_entry is one row of a folder's err.def: number is its place, counted from 1.
struct err_entry {
    const char *name;
    const char *text;
};

#define RESULT __attribute__((warn_unused_result)) struct err
#define ERR_CODE(class, folder, number) \
    ((uint32_t)(class) << 24 | (uint32_t)(folder) << 16 | (uint32_t)(number))
// ERR(NAME) is the error value of row NAME: `return ERR(BAD_BASE64URL);`
#define ERR(name) ((struct err){ERR_##name})
#define OK ((struct err){0})

// TRY returns the error of `expr` from the enclosing function, if there is one.
#define TRY(expr)                             \
    do {                                      \
        struct err try_err_ = (expr);         \
        if (try_err_.v != 0) return try_err_; \
    } while (0)

static inline bool failed(struct err e) { return e.v != 0; }
static inline bool err_is(struct err e, uint32_t code) { return e.v == code; }
static inline enum err_class err_class(struct err e) { return (enum err_class)(e.v >> 24); }

// err_register gives a folder's rows to err_name and err_text. The table is borrowed for ever.
void err_register(enum err_folder folder, const struct err_entry *entries, size_t count);
// err_name returns the row's name, such as "BAD_BASE64URL"; "OK" for success, "UNKNOWN" for an
// unregistered code. Never NULL.
const char *err_name(struct err e);
// err_text returns one sentence for people. Never NULL.
const char *err_text(struct err e);

// CHECK stops the process with file, line and text when `cond` is false: for what cannot be. Always
// on.
#define CHECK(cond) ((cond) ? (void)0 : err_check_failed(__FILE__, __LINE__, #cond))
// DCHECK is CHECK in builds that define CERTMILL_DCHECK (dev, tsan, fuzz), and nothing elsewhere.
#ifdef CERTMILL_DCHECK
#define DCHECK(cond) CHECK(cond)
#else
#define DCHECK(cond) ((void)sizeof(!(cond)))
#endif
// err_check_failed prints one line to stderr, runs the hook if one is set, and aborts.
_Noreturn void err_check_failed(const char *file, int line, const char *cond);
// err_check_hook_set installs a function that prints the objects at hand before the abort; NULL
// removes it.
void err_check_hook_set(void (*hook)(void));

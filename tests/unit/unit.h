// unit: what every unit test includes: cmocka behind the headers it needs, and assertions on our
// own types.
#pragma once
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "proto/base/err.h"
#include "proto/base/slice.h"

static inline void unit_err(struct err got, uint32_t want, const char *text, const char *file,
                            int line)
{
    if (got.v == want) return;
    print_error("%s: got %s (%08x), want %s (%08x)\n", text, err_name(got), got.v,
                err_name((struct err){want}), want);
    _fail(file, line);
}

static inline void unit_slice(struct slice got, struct slice want, const char *text,
                              const char *file, int line)
{
    if (slice_eq(got, want)) return;
    print_error("%s: got \"%" SLICE_FMT "\" (%zu), want \"%" SLICE_FMT "\" (%zu)\n", text,
                SLICE_ARG(got), got.n, SLICE_ARG(want), want.n);
    _fail(file, line);
}

// assert_ok(e) and assert_err(e, ERR_X) compare an error value and print both names when they
// differ.
#define assert_ok(e) unit_err((e), 0, #e, __FILE__, __LINE__)
#define assert_err(e, code) unit_err((e), (uint32_t)(code), #e, __FILE__, __LINE__)
// assert_slice(got, want) compares two slices; assert_slice_str compares with a text.
#define assert_slice(got, want) unit_slice((got), (want), #got, __FILE__, __LINE__)
#define assert_slice_str(got, want) unit_slice((got), slice_str(want), #got, __FILE__, __LINE__)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

// secret: marks memory as secret for whatever watches this build: memcheck (valgrind's client
// requests, which do nothing outside valgrind) or MSan. A branch or an address that depends on
// marked memory is reported. After Adam Langley's ctgrind.
#pragma once
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define SECRET_BY_MSAN
#endif
#endif

#ifdef SECRET_BY_MSAN
#include <sanitizer/msan_interface.h>
static inline void secret_mark(const void *p, size_t n) { __msan_allocated_memory(p, n); }
static inline void secret_clear(const void *p, size_t n) { __msan_unpoison(p, n); }
#else
#include <valgrind/memcheck.h>
static inline void secret_mark(const void *p, size_t n) { (void)VALGRIND_MAKE_MEM_UNDEFINED(p, n); }
static inline void secret_clear(const void *p, size_t n) { (void)VALGRIND_MAKE_MEM_DEFINED(p, n); }
#endif

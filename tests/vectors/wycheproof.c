#include "tests/vectors/wycheproof.h"

#include <stdio.h>
#include <string.h>

static unsigned nibble(char c) { return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10); }

struct slice wycheproof_hex(const struct vector *v, yyjson_val *object, const char *name)
{
    const char *text = yyjson_get_str(yyjson_obj_get(object, name));
    CHECK(text != NULL && strlen(text) % 2 == 0);
    size_t n = strlen(text) / 2;
    uint8_t *p = arena_alloc(v->arena, n + 1);
    CHECK(p != NULL);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
    return slice_of(p, n);
}

static void count(struct tally *t, const char *file, const struct vector *v, enum verdict said)
{
    bool valid = strcmp(v->result, "valid") == 0;
    t->accepted += said == ACCEPTED;
    t->refused += said == REFUSED;
    t->excepted += said == EXCEPTED;
    if (said == EXCEPTED || (said == ACCEPTED) == valid) return;
    t->wrong++;
    printf("%s %d (%s) is %s and was %s\n", file, v->id, v->comment, v->result,
           said == ACCEPTED ? "accepted" : "refused");
}

static void group_run(struct tally *t, const char *file, yyjson_val *group,
                      enum verdict (*verify)(const struct vector *v))
{
    size_t i, n;
    yyjson_val *test;
    yyjson_arr_foreach(yyjson_obj_get(group, "tests"), i, n, test)
    {
        struct arena arena;
        arena_init(&arena, 1 << 20);
        struct vector v = {.group = group,
                           .test = test,
                           .comment = yyjson_get_str(yyjson_obj_get(test, "comment")),
                           .result = yyjson_get_str(yyjson_obj_get(test, "result")),
                           .id = yyjson_get_int(yyjson_obj_get(test, "tcId")),
                           .arena = &arena};
        count(t, file, &v, verify(&v));
        arena_fini(&arena);
    }
}

struct tally wycheproof_run(const char *file, unsigned least,
                            enum verdict (*verify)(const struct vector *v))
{
    char path[4096];
    size_t i, n;
    yyjson_val *group;
    struct tally t = {0};
    snprintf(path, sizeof path, WYCHEPROOF "/%s", file);
    yyjson_doc *doc = yyjson_read_file(path, 0, NULL, NULL);
    if (doc == NULL) printf("%s cannot be read: scripts/setup unpacks it\n", path);
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "testGroups"), i, n, group)
        group_run(&t, file, group, verify);
    yyjson_doc_free(doc);
    printf("%s: %u accepted, %u refused, %u excepted, %u wrong\n", file, t.accepted, t.refused,
           t.excepted, t.wrong);
    if (t.accepted + t.refused + t.excepted < least) {
        printf("%s: fewer than the %u vectors that it had\n", file, least);
        t.wrong++;
    }
    return t;
}

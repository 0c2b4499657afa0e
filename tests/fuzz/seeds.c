#include "tests/fuzz/seeds.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

void seed(struct seeds *s, const char *target, const char *name, struct slice bytes)
{
    char path[4096];
    CHECK(snprintf(path, sizeof path, "%s/%s", s->folder, target) < (int)sizeof path);
    CHECK(mkdir(path, 0777) == 0 || errno == EEXIST);
    CHECK(snprintf(path, sizeof path, "%s/%s/%s", s->folder, target, name) < (int)sizeof path);
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL && fwrite(bytes.p, 1, bytes.n, f) == bytes.n && fclose(f) == 0);
    s->count++;
}

int main(int argc, char **argv)
{
    if (argc != 2) return fprintf(stderr, "usage: fuzz_seeds FOLDER\n"), 2;
    struct seeds s = {.folder = argv[1]};
    arena_init(&s.arena, 1 << 26);
    seeds_text(&s);
    seeds_der(&s);
    seeds_http(&s);
    seeds_p256(&s);
    arena_fini(&s.arena);
    printf("%u seeds written\n", s.count);
    return 0;
}

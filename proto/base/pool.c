#include "proto/base/pool.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

struct err pool_init(struct pool *p, const char *name, size_t object_size, size_t count)
{
    size_t align = alignof(max_align_t);
    size_t size = (object_size + align - 1) & ~(align - 1);
    uint8_t *memory = calloc(count == 0 ? 1 : count, size);
    if (memory == NULL) return ERR(NO_SPACE);
    *p = (struct pool){.memory = memory, .object_size = size, .count = count, .name = name};
    return OK;
}

void pool_fini(struct pool *p)
{
    CHECK(p->used == 0);
    free(p->memory);
    *p = (struct pool){0};
}

void *pool_get(struct pool *p)
{
    void *object = p->free_list;
    if (object != NULL)
        memcpy(&p->free_list, object, sizeof p->free_list);
    else if (p->fresh < p->count)
        object = p->memory + p->fresh++ * p->object_size;
    else
        return NULL;
    memset(object, 0, p->object_size);
    if (++p->used > p->used_max) p->used_max = p->used;
    return object;
}

void pool_put(struct pool *p, void *object)
{
    if (object == NULL) return;
    uint8_t *at = object;
    CHECK(at >= p->memory && at < p->memory + p->count * p->object_size &&
          (size_t)(at - p->memory) % p->object_size == 0);
    CHECK(p->used > 0);
    p->used--;
    memcpy(object, &p->free_list, sizeof p->free_list);
    p->free_list = object;
}

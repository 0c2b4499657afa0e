#include "cluster/rpc/message.h"

#include "proto/base/utf8.h"

static void *allocate(void *data, size_t n) { return arena_alloc(data, n); }

static void release(void *data, void *p)
{
    (void)data;
    (void)p;
}

static bool is_strict(const ProtobufCMessage *m);

static bool value_is_strict(const ProtobufCFieldDescriptor *f, const void *value)
{
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        const char *s = *(char *const *)value;
        return s == NULL || utf8_valid(slice_str(s));
    }
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *m = *(ProtobufCMessage *const *)value;
        return m == NULL || is_strict(m);
    }
    return true;
}

static bool field_is_strict(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const char *at = (const char *)m + f->offset;
    if (f->label != PROTOBUF_C_LABEL_REPEATED) return value_is_strict(f, at);
    if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE) return true;
    size_t count = *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
    void *const *values = *(void *const *const *)(const void *)at;
    for (size_t i = 0; i < count; i++)
        if (!value_is_strict(f, &values[i])) return false;
    return true;
}

static bool is_strict(const ProtobufCMessage *m)
{
    if (m->n_unknown_fields > 0) return false;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++)
        if (!field_is_strict(m, &m->descriptor->fields[i])) return false;
    return true;
}

ProtobufCMessage *message_decode(struct arena *a, const ProtobufCMessageDescriptor *type,
                                 struct slice in)
{
    ProtobufCAllocator allocator = {allocate, release, a};
    ProtobufCMessage *m = protobuf_c_message_unpack(type, &allocator, in.n, in.p);
    return m != NULL && is_strict(m) ? m : NULL;
}

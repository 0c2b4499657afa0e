// message: protobuf-c messages decoded strictly: memory from an arena with its ceiling, unknown
// fields and strings that are not UTF-8 refused, at every depth. Any thread.
#pragma once
#include <protobuf-c/protobuf-c.h>

#include "proto/base/arena.h"

// message_decode unpacks `in`; NULL when malformed, not strict, or too large for the arena. The
// message lives as long as the arena.
ProtobufCMessage *message_decode(struct arena *a, const ProtobufCMessageDescriptor *type,
                                 struct slice in);

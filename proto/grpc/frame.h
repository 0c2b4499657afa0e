// frame: what gRPC puts around a message and beside it (gRPC over HTTP/2): the five-octet prefix,
// percent-encoded status text and timeouts in headers. Pure; any thread.
#pragma once
#include "proto/base/arena.h"
#include "proto/base/buf.h"

enum { GRPC_PREFIX_LEN = 5, GRPC_TIMEOUT_TEXT_MAX = 10 };

// grpc_frame_write appends the prefix and the message. ERR_NO_SPACE.
RESULT
grpc_frame_write(struct buf *out, struct slice message);
// grpc_frame_read takes the one message of a unary call from a whole body: prefix, not compressed,
// length exactly what follows, at most `size_max` bytes. ERR_GRPC_FRAME.
RESULT
grpc_frame_read(struct slice *out, struct slice body, size_t size_max);
// grpc_message_encode appends status text percent-encoded: printable ASCII but '%' stays.
// grpc_message_decode is the reverse and never fails: a broken escape stays as it is.
RESULT
grpc_message_encode(struct buf *out, struct slice text);
RESULT
grpc_message_decode(struct slice *out, struct arena *a, struct slice text);
// grpc_timeout_format writes milliseconds as a grpc-timeout value ("1500m") and a NUL;
// grpc_timeout_parse reads any unit into milliseconds, rounded up. ERR_GRPC_FRAME.
void grpc_timeout_format(char out[GRPC_TIMEOUT_TEXT_MAX], uint64_t ms);
RESULT
grpc_timeout_parse(uint64_t *out_ms, struct slice text);

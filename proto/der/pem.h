// pem: the textual encoding of RFC 7468 for certificates and keys in files and answers. Pure; any
// thread.
#pragma once
#include "proto/base/arena.h"
#include "proto/base/buf.h"

// pem_encode appends one block: "-----BEGIN label-----", base64 in lines of 64 characters,
// "-----END label-----", each line ended by one newline. ERR_NO_SPACE leaves the buf as it was.
RESULT
pem_encode(struct buf *out, const char *label, struct slice der);

struct pem_block {
    struct slice label; // "CERTIFICATE"; points into the text. Empty: there was no further block
    struct slice der;   // in the arena
};

// pem_next reads the first block of *text and moves *text behind it, so that calling it again reads
// the next; text between blocks is skipped. Lines end in LF or CRLF; white space at line ends is
// skipped. Blocks with headers ("Proc-Type:", old encrypted keys) are refused. When no block
// follows: OK and an empty label. The secret of a private key stays in the arena until the caller
// wipes it. ERR_BAD_PEM, ERR_NO_SPACE.
RESULT
pem_next(struct pem_block *out, struct arena *a, struct slice *text);

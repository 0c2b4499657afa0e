// client: the front end's side of the signer, one per shard, over that shard's signer channel. The
// only header of signer/ that api/ may see. Everything queued in a turn goes in one message (at
// most SIGNER_BATCH_MAX items and 1 MiB), to a signer whose Describe agrees with the intents; when
// no agreeing signer is connected, items wait until their deadline. Repeating a sign is harmless
// (design.md section 4).
#pragma once
#include "cluster/rpc/call.h"
#include "proto/rpc/intent.h"

enum { SIGNER_BATCH_MAX = 256, SIGNER_CHAINS_MAX = 16 };

struct signer_client;

struct signer_client_options {
    struct rpc_channel_options
        channel;          // with the role "urn:certmill:role:signer" checked by its tls context
    unsigned region;      // signers of other regions are not used
    unsigned describe_ms; // how often Describe is repeated per target
    unsigned queue_max;   // items waiting per shard
    // changed runs when the set of issuers or profiles that the connected signers offer has
    // changed.
    void (*changed)(void *ctx);
    void *ctx;
};

// struct signer_profile and struct signer_issuer: what connected signers agree on; valid until
// `changed` runs again.
struct signer_profile {
    struct slice name;
    uint8_t hash[HASH_LEN];
    uint32_t template_version;
    int64_t validity_s, backdate_s;
    const uint16_t *issuers;
    const uint32_t *weights; // of `issuers`
    size_t issuer_count;
    const struct slice *key_kinds; // "P-256", "RSA-2048" (and larger RSA up to 4096), ...
    size_t key_kind_count;
    const struct slice *networks; // of the addresses that it signs: "10.0.0.0/8"; none: no address
    size_t network_count;
    bool no_rev_avail, wildcards;
    unsigned crl_parts; // CRLs of one hour that its certificates are spread over; 0: they name none
    struct slice text;
};
// struct signer_chain is a chain of an issuer: from a certificate for its key upwards, root left
// out.
struct signer_chain {
    const struct slice *certificates; // DER
    size_t count;
    struct slice root; // DER
};
struct signer_issuer {
    uint16_t id;
    struct slice certificate; // DER
    uint8_t certificate_hash[HASH_LEN];
    const struct slice *chain; // DER, without root
    size_t chain_count;
    struct slice root;                 // DER
    const struct signer_chain *chains; // further ones, to other roots
    size_t further_count;              // of `chains`
    uint32_t serial_key_generation;    // the newest
};

// signer_client_new starts connecting; signer_client_ready: a connected signer has described
// itself. signer_client_free closes the channel.
RESULT signer_client_new(struct signer_client **out, struct shard *shard,
                         const struct signer_client_options *options);
void signer_client_free(struct signer_client *c);
bool signer_client_ready(const struct signer_client *c);
// signer_client_state_text is a sentence for /readyz and errors.
const char *signer_client_state_text(const struct signer_client *c);
// The lookups return NULL when no connected signer offers it.
const struct signer_profile *signer_client_profile(const struct signer_client *c,
                                                   struct slice name);
const struct signer_issuer *signer_client_issuer(const struct signer_client *c, uint16_t id);
size_t signer_client_profiles(const struct signer_client *c, const struct signer_profile **out);

// struct signer_sign: one item. `done` runs once. ERR_SIGNER_AWAY and ERR_SIGNER_BUSY: try again
// later, the same intent. ERR_SIGNER_REFUSED: for good. ERR_SIGNER_MISMATCH, ERR_SIGNER_CONFLICT,
// ERR_SIGNER_WRONG: logged; the signer is put aside for WRONG. On OK certificate is what the signer
// sent, already compared with the intent (order, intent hash, serial's place): parsing and
// verifying it is the caller's step e3.
struct signer_sign {
    void (*done)(struct signer_sign *call, struct err err, const char *text);
    const struct intent *intent; // borrowed until done
    uint8_t serial[SERIAL_LEN];  // out
    struct slice certificate;    // out; DER, lives until done returns
    bool burned;                 // out, with ERR_SIGNER_REFUSED: the serial is burned
    struct list node;            // the client's own
    uint64_t deadline_ns;
    unsigned target;
};
// signer_client_sign queues; ERR_SIGNER_BUSY when queue_max wait already.
RESULT signer_client_sign(struct signer_client *c, struct signer_sign *call, unsigned deadline_ms);
// signer_client_burn asks to burn the intent's serial, whose order must have ended before: done
// with OK and burned true (serial set).
RESULT signer_client_burn(struct signer_client *c, struct signer_sign *call, unsigned deadline_ms);
// signer_client_wrong reports that step e3 refused an answer: that signer is put aside for a while.
void signer_client_wrong(struct signer_client *c, const struct signer_sign *call);
// signer_client_tls_set: as rpc_channel_tls_set.
void signer_client_tls_set(struct signer_client *c, struct tls_context *tls);

// struct signer_renew: one certificate of our own made anew. `done` runs once; on OK `chain` is
// PEM, leaf first, and lives until done returns. ERR_SIGNER_AWAY, ERR_SIGNER_BUSY,
// ERR_SIGNER_REFUSED with a sentence.
struct signer_renew {
    void (*done)(struct signer_renew *call, struct err err, struct slice chain, const char *text);
    struct rpc_call call; // the client's own, like the node
    struct list node;
};
// signer_client_renew asks for the caller's own internal certificate, or (`server`) for the server
// certificate of front ends, for the key in `csr` (DER). ERR_SIGNER_BUSY.
RESULT signer_client_renew(struct signer_client *c, struct signer_renew *call, bool server,
                           struct slice csr, unsigned deadline_ms);

// struct signer_crl: one CRL of one shard. The caller fills the inputs, which are copied by the
// call. `done` runs once. On OK `crl` is DER and lives until done returns: parsing, comparing and
// verifying it is the caller's. ERR_SIGNER_NUMBER: `last_number` was used already; ask with a
// higher one. ERR_SIGNER_AWAY, ERR_SIGNER_BUSY, ERR_SIGNER_MISMATCH: later. ERR_SIGNER_REFUSED.
struct signer_crl_entry {
    uint8_t serial[SERIAL_LEN];
    int64_t revoked_at; // seconds since 1970
    unsigned reason;
};
enum { SIGNER_CRL_ENTRIES_MAX = 16384 };
struct signer_crl {
    void (*done)(struct signer_crl *call, struct err err, const char *text);
    uint16_t issuer;
    const uint8_t *issuer_cert_hash; // HASH_LEN
    uint32_t shard;
    uint64_t number;
    int64_t this_update, next_update;       // seconds since 1970
    const struct signer_crl_entry *entries; // sorted by serial
    size_t count;
    struct slice crl;     // out
    uint64_t last_number; // out
    struct rpc_call call; // the client's own, like the node
    struct list node;
};
// signer_client_crl asks for it. ERR_SIGNER_BUSY when it cannot be sent, ERR_NO_SPACE.
RESULT signer_client_crl(struct signer_client *c, struct signer_crl *call, unsigned deadline_ms);

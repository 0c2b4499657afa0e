// crl_refresh: CRLs made and made anew (RFC 5280 section 5), by one front end at a time: whoever
// holds the lease "crls". What has changed is published within a run or two, what has not when a
// third of its time has passed, and each hour has its CRLs before its first certificate. A holder
// that was frozen finds its token gone when it wants to keep what it made (F32).
#include "api/events.h"
#include "api/jobs/internal.h"
#include "proto/der/cert.h"
#include "proto/der/crl.h"
#include "proto/err.h"
#include "signer/err.h"

enum {
    FIRST_MS = 500,
    LEASE_MS = 15000,
    SHARDS_PER_RUN = 32,
    SIGN_MS = 5000,
};

static void next(struct crl_refresh *c);

static void again(struct crl_refresh *c)
{
    job_again(&c->job, c->job.edge->front->settings->jobs.crls_ms);
}

static void failed_say(struct crl_refresh *c, const char *what, struct err err)
{
    job_failed(&c->job, what, err);
    again(c);
}

// ---- one CRL: read, sign, compare, keep

static void on_kept(struct store_cmd *cmd, struct err err)
{
    struct crl_refresh *c = LIST_OWNER(LIST_OWNER(cmd, struct store_crl_commit, cmd),
                                       struct crl_refresh, commit);
    struct edge *e = c->job.edge;
    if (failed(err)) {
        failed_say(c, "a CRL could not be kept", err);
        return;
    }
    if (!c->commit.kept) { // another has the lease by now
        again(c);
        return;
    }
    metric_add(shard_metrics(e->shard), shard_index(e->shard), &METRIC_CRLS, 1);
    LOG(shard_log(e->shard), &EVENT_CRL_PUBLISHED, NULL, LOG_INT("issuer", c->commit.issuer),
        LOG_INT("shard", c->commit.shard), LOG_INT("number", (int64_t)c->commit.number),
        LOG_INT("entries", c->entries.count));
    next(c);
}

// answer_right compares what the signer sent with what was asked, and checks its signature.
static bool answer_right(const struct crl_refresh *c, struct slice der)
{
    const struct catalog_issuer *issuer = catalog_issuer(&c->job.edge->catalog, c->sign.issuer);
    struct crl crl;
    struct crl_entry e;
    const char *note = "";
    if (issuer == NULL || failed(crl_parse(&crl, &note, der)) ||
        !slice_eq(crl.issuer, issuer->subject) || crl.number != c->sign.number ||
        crl.this_update != c->sign.this_update || crl.next_update != c->sign.next_update ||
        crl.entry_count != c->sign.count)
        return false;
    for (size_t i = 0; crl_entry_next(&e, &crl.entries); i++)
        if (!slice_eq(e.serial, slice_of(c->sign.entries[i].serial, SERIAL_LEN)) ||
            e.reason != c->sign.entries[i].reason)
            return false;
    return !failed(crl_verify_signed_by(&crl, issuer->spki));
}

static void sign(struct crl_refresh *c, uint64_t number);

static void on_signed(struct signer_crl *call, struct err err, const char *text)
{
    struct crl_refresh *c = LIST_OWNER(call, struct crl_refresh, sign);
    if (c->job.edge->stopping) {
        again(c);
    } else if (err_is(err, ERR_SIGNER_NUMBER) && !c->asked_again) {
        c->asked_again = true; // the signer knows of more than the store, such as after a restore
        sign(c, call->last_number + 1);
    } else if (failed(err)) {
        LOG(shard_log(c->job.edge->shard), &EVENT_CRL_REFUSED, text, LOG_INT("shard", call->shard));
        failed_say(c, "a CRL could not be signed", err);
    } else if (!answer_right(c, call->crl) ||
               failed(arena_dup(&c->commit.der, &c->job.arena, call->crl))) {
        failed_say(c, "a signer's CRL is not what was asked for", ERR(SIGNER_WRONG));
    } else {
        c->commit.cmd = (struct store_cmd){.done = on_kept, .arena = &c->job.arena};
        c->commit.issuer = call->issuer;
        c->commit.shard = call->shard;
        c->commit.number = call->number;
        c->commit.this_update = call->this_update;
        c->commit.next_update = call->next_update;
        c->commit.token = c->lease.token;
        c->commit.changes = c->entries.changes;
        c->commit.change_count = c->entries.change_count;
        store_crl_commit(c->job.edge->store, &c->commit);
    }
}

// sign asks for a CRL with at least this number. Numbers follow the clock in milliseconds, so that
// they grow also where a restored database has forgotten some.
static void sign(struct crl_refresh *c, uint64_t number)
{
    const struct catalog_issuer *issuer = catalog_issuer(&c->job.edge->catalog, c->entries.issuer);
    struct signer_crl_entry *entries = ARENA_ARRAY(&c->job.arena, struct signer_crl_entry,
                                                   c->entries.count + 1);
    uint64_t by_clock = (uint64_t)c->entries.now_us / 1000;
    int64_t now_s = c->entries.now_us / 1000000,
            end = now_s + c->job.edge->front->settings->crl.lifetime_ms / 1000;
    if (issuer == NULL || entries == NULL) {
        failed_say(c, "a CRL could not be asked for", ERR(NO_SPACE));
        return;
    }
    for (size_t i = 0; i < c->entries.count; i++) {
        const struct crl_row *row = &c->entries.entries[i];
        entries[i] = (struct signer_crl_entry){.revoked_at = row->revoked_at_us / 1000000,
                                               .reason = row->reason};
        memcpy(entries[i].serial, row->serial, SERIAL_LEN);
    }
    c->sign = (struct signer_crl){.done = on_signed,
                                  .issuer = c->entries.issuer,
                                  .issuer_cert_hash = issuer->signer.certificate_hash,
                                  .shard = c->entries.shard,
                                  .number = number > by_clock ? number : by_clock,
                                  .this_update = now_s,
                                  .next_update = end < c->issuer_end ? end : c->issuer_end,
                                  .entries = entries,
                                  .count = c->entries.count};
    struct err e = signer_client_crl(c->job.edge->signer, &c->sign, SIGN_MS);
    if (failed(e)) failed_say(c, "a CRL could not be asked for", e);
}

static void on_entries(struct store_cmd *cmd, struct err err)
{
    struct crl_refresh *c = LIST_OWNER(LIST_OWNER(cmd, struct store_crl_entries, cmd),
                                       struct crl_refresh, entries);
    if (failed(err)) {
        failed_say(c, "the entries of a CRL could not be read", err);
    } else if (c->job.quiet) {
        again(c);
    } else if (!c->entries.there) {
        next(c);
    } else if (c->entries.count > SIGNER_CRL_ENTRIES_MAX) {
        LOG(shard_log(c->job.edge->shard), &EVENT_CRL_TOO_LARGE, NULL,
            LOG_INT("shard", c->entries.shard));
        next(c);
    } else {
        c->asked_again = false;
        sign(c, c->commit.before + 1);
    }
}

// next takes the next shard of this run.
static void next(struct crl_refresh *c)
{
    if (c->at == c->due.out_count || c->job.quiet) {
        job_failed(&c->job, "", OK);
        again(c);
        return;
    }
    const struct crl_due *d = &c->due.out[c->at++];
    c->commit = (struct store_crl_commit){.before = d->number};
    c->entries = (struct store_crl_entries){.cmd = {.done = on_entries, .arena = &c->job.arena},
                                            .issuer = c->due.issuer,
                                            .shard = d->shard,
                                            .limit = SIGNER_CRL_ENTRIES_MAX + 1};
    store_crl_entries(c->job.edge->store, &c->entries);
}

// ---- which

// late_say raises an alarm for CRLs whose time is half over: they should have been made anew long
// ago.
static void late_say(struct crl_refresh *c)
{
    struct edge *e = c->job.edge;
    int64_t late = 0;
    for (size_t i = 0; i < c->due.out_count; i++) late += c->due.out[i].late;
    metric_set(shard_metrics(e->shard), shard_index(e->shard), &METRIC_CRLS_LATE, late);
    if (late > 0 && !c->late_said)
        LOG(shard_log(e->shard), &EVENT_CRL_LATE, NULL, LOG_INT("crls", late));
    c->late_said = late > 0;
}

static void on_due(struct store_cmd *cmd, struct err err)
{
    struct crl_refresh *c = LIST_OWNER(LIST_OWNER(cmd, struct store_crls_due, cmd),
                                       struct crl_refresh, due);
    if (failed(err)) {
        failed_say(c, "CRLs that are due could not be looked for", err);
        return;
    }
    late_say(c);
    c->at = 0;
    next(c);
}

// issuer_find is the next issuer in turn that a profile with CRLs has, and its parts of an hour.
static const struct catalog_issuer *issuer_find(struct crl_refresh *c, unsigned *out_parts)
{
    const struct catalog *catalog = &c->job.edge->catalog;
    for (size_t n = 0; n < catalog->issuer_count; n++) {
        const struct catalog_issuer *issuer = &catalog->issuers[c->turn++ % catalog->issuer_count];
        *out_parts = 0;
        for (size_t i = 0; i < catalog->profile_count; i++) {
            const struct signer_profile *p = &catalog->profiles[i];
            for (size_t k = 0; k < p->issuer_count; k++)
                if (p->issuers[k] == issuer->signer.id && p->crl_parts > *out_parts)
                    *out_parts = p->crl_parts;
        }
        if (*out_parts > 0) return issuer;
    }
    return NULL;
}

static void on_lease(struct store_cmd *cmd, struct err err)
{
    struct crl_refresh *c = LIST_OWNER(LIST_OWNER(cmd, struct store_lease_take, cmd),
                                       struct crl_refresh, lease);
    struct edge *e = c->job.edge;
    struct cert cert;
    const char *note = "";
    unsigned parts = 0;
    if (failed(err)) {
        failed_say(c, "the lease of the CRLs could not be taken", err);
        return;
    }
    const struct catalog_issuer *issuer = !c->lease.held || c->job.quiet ? NULL
                                                                         : issuer_find(c, &parts);
    if (issuer == NULL ||
        failed(cert_parse(&cert, &note, &c->job.arena, issuer->signer.certificate))) {
        again(c);
        return;
    }
    c->issuer_end = cert.not_after;
    c->due = (struct store_crls_due){.cmd = {.done = on_due, .arena = &c->job.arena},
                                     .issuer = issuer->signer.id,
                                     .parts = parts,
                                     .limit = SHARDS_PER_RUN};
    store_crls_due(e->store, &c->due);
}

static void on_timer(struct timer *t)
{
    struct crl_refresh *c = LIST_OWNER(LIST_OWNER(t, struct job, timer), struct crl_refresh, job);
    const struct front *f = c->job.edge->front;
    int64_t ttl = 3 * f->settings->jobs.crls_ms;
    if (!signer_client_ready(c->job.edge->signer)) { // left to one that reaches a signer
        again(c);
        return;
    }
    job_begin(&c->job);
    c->lease = (struct store_lease_take){.cmd = {.done = on_lease, .arena = &c->job.arena},
                                         .name = SLICE_LIT("crls"),
                                         .node = f->node,
                                         .boot = f->boot,
                                         .ttl_ms = (unsigned)(ttl > LEASE_MS ? ttl : LEASE_MS)};
    store_lease_take(c->job.edge->store, &c->lease);
}

void crl_refresh_start(struct crl_refresh *c, struct jobs *j)
{
    job_init(&c->job, j, on_timer);
    timer_set(j->edge->shard, &c->job.timer, FIRST_MS);
}

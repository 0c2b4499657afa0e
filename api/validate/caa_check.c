// caa_check: the relevant CAA records of a name are found by climbing its tree (RFC 8659 section 3)
// and judged. A stage of a validation behind the challenge, or alone before an order with an older
// authorization is finalized. Whoever does not answer forbids.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate/caa.h"
#include "api/validate/lookup.h"
#include "api/validate/validate_internal.h"

struct attempt {
    struct validation *v;
    struct lookup lookup;
    char name[DNS_NAME_LEN_MAX + 1]; // being asked for
};

static bool account_is(const void *ctx, struct slice uri)
{
    return validation_account_is(ctx, uri);
}

static void judge(struct attempt *a, const struct dns_answer *answer)
{
    const struct validate_request *r = a->v->request;
    const struct caa_asker asker = {.identities = r->policy->identities,
                                    .identity_count = r->policy->identity_count,
                                    .wildcard = r->wildcard,
                                    .method = challenge_type_row(r->method)->name,
                                    .account_is = account_is,
                                    .ctx = r};
    char why[VALIDATE_DETAIL_MAX / 4];
    if (caa_permits(why, sizeof why, answer->records, answer->count, &asker))
        validation_try_end(a->v, VALIDATE_OK, false, "ok");
    else
        validation_try_end(a->v, VALIDATE_CAA, false, "the CAA records at %.100s forbid it: %s",
                           a->name, why);
}

static void on_looked_up(struct lookup *l, enum lookup_outcome outcome,
                         const struct dns_answer *answer, const char *note);

static void ask(struct attempt *a)
{
    const struct validate_request *r = a->v->request;
    a->lookup.done = on_looked_up;
    if (!lookup_start(&a->lookup, validation_resolver(a->v), r->policy, a->name, DNS_TYPE_CAA))
        validation_try_end(a->v, VALIDATE_INTERNAL, true, "no resolver could be started");
}

static void on_looked_up(struct lookup *l, enum lookup_outcome outcome,
                         const struct dns_answer *answer, const char *note)
{
    struct attempt *a = LIST_OWNER(l, struct attempt, lookup);
    if (outcome == LOOKUP_FAILED) {
        validation_try_end(a->v, VALIDATE_CAA, true,
                           "whether CAA records at %.100s forbid it is not known: %s", a->name,
                           note);
        return;
    }
    if (outcome == LOOKUP_FOUND) {
        judge(a, answer);
        return;
    }
    char *dot = strchr(a->name, '.');
    if (dot == NULL) { // the top: nobody forbids it
        validation_try_end(a->v, VALIDATE_OK, false, "ok");
        return;
    }
    memmove(a->name, dot + 1, strlen(dot + 1) + 1);
    ask(a);
}

static bool caa_begin(struct validation *v)
{
    const struct validate_request *r = v->request;
    struct attempt *a = calloc(1, sizeof *a);
    if (a == NULL) return false;
    a->v = v;
    v->attempt = a;
    snprintf(a->name, sizeof a->name, "%.*s", SLICE_ARG(r->identifier.value));
    ask(a);
    return true;
}

static void caa_abandon(struct validation *v)
{
    struct attempt *a = v->attempt;
    if (a == NULL) return;
    v->attempt = NULL;
    lookup_cancel(&a->lookup);
    free(a);
}

static enum validate_problem caa_waits_for(const struct validation *v, char *out, size_t size)
{
    const struct attempt *a = v->attempt;
    snprintf(out, size, "the resolver did not answer for CAA at %.150s", a->name);
    return VALIDATE_CAA;
}

const struct validate_method_row validate_caa = {
    .name = "CAA", .begin = caa_begin, .abandon = caa_abandon, .waits_for = caa_waits_for};

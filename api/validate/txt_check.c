#include "api/validate/txt_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_looked_up(struct lookup *l, enum lookup_outcome outcome,
                         const struct dns_answer *answer, const char *note)
{
    struct txt_check *c = LIST_OWNER(l, struct txt_check, lookup);
    if (outcome == LOOKUP_FOUND)
        c->judge(c, answer);
    else
        validation_try_end(c->v, VALIDATE_DNS, true, "no TXT record at %.100s: %.200s", c->name,
                           note);
}

bool txt_check_begin(struct validation *v, const char *prefix,
                     void (*judge)(struct txt_check *c, const struct dns_answer *answer))
{
    const struct validate_request *r = v->request;
    struct txt_check *c = calloc(1, sizeof *c);
    if (c == NULL) return false;
    c->v = v;
    c->judge = judge;
    c->lookup.done = on_looked_up;
    v->attempt = c;
    if (strlen(prefix) + r->identifier.value.n > DNS_NAME_LEN_MAX) {
        validation_try_end(c->v, VALIDATE_DNS, false,
                           "the name is too long to have one below it at %s", prefix);
        return true;
    }
    snprintf(c->name, sizeof c->name, "%s%.*s", prefix, SLICE_ARG(r->identifier.value));
    if (!lookup_start(&c->lookup, validation_resolver(v), r->policy, c->name, DNS_TYPE_TXT))
        validation_try_end(c->v, VALIDATE_INTERNAL, true, "no resolver could be started");
    return true;
}

void txt_check_abandon(struct validation *v)
{
    struct txt_check *c = v->attempt;
    if (c == NULL) return;
    v->attempt = NULL;
    lookup_cancel(&c->lookup);
    free(c);
}

enum validate_problem txt_check_waits_for(const struct validation *v, char *out, size_t size)
{
    const struct txt_check *c = v->attempt;
    snprintf(out, size, "the resolver did not answer for TXT at %.150s", c->name);
    return VALIDATE_DNS;
}

void txt_check_shown(char out[TXT_SHOWN_MAX + 1], struct slice text)
{
    size_t n = text.n < TXT_SHOWN_MAX ? text.n : TXT_SHOWN_MAX;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text.p[i] >= 0x20 && text.p[i] < 0x7f && text.p[i] != '"' &&
                                text.p[i] != '<'
                            ? text.p[i]
                            : '.');
    out[n] = 0;
}

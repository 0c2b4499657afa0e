#include "api/validate/lookup.h"

#include <stdio.h>
#include <string.h>

// fail tells why, with the alias that was asked for when it is one.
static void fail(struct lookup *l, enum lookup_outcome outcome, const char *before,
                 const char *note)
{
    char text[LOOKUP_NOTE_MAX];
    if (l->aliases == 0)
        snprintf(text, sizeof text, "%s%s", before, note);
    else
        snprintf(text, sizeof text, "%s%s (at its alias %.100s)", before, note, l->name);
    l->done(l, outcome, NULL, text);
}

static void on_answered(struct resolver_query *q, enum resolver_outcome outcome,
                        struct slice message, const char *note)
{
    struct lookup *l = LIST_OWNER(q, struct lookup, query);
    struct dns_answer answer;
    const char *why;
    if (outcome != RESOLVER_ANSWERED) {
        fail(l, outcome == RESOLVER_NONE ? LOOKUP_NONE : LOOKUP_FAILED, "", note);
        return;
    }
    if (!dns_answer_read(&answer, &why, message, l->name, l->type)) {
        fail(l, LOOKUP_FAILED, "the resolver's answer ", why);
        return;
    }
    l->aliases += answer.aliases;
    if (l->aliases > DNS_ALIASES_MAX)
        fail(l, LOOKUP_FAILED, "", "the name has too many aliases");
    else if (answer.count > 0)
        l->done(l, LOOKUP_FOUND, &answer, "");
    else if (answer.aliases == 0)
        fail(l, LOOKUP_NONE, "", "the name has no such record");
    else {
        memcpy(l->name, answer.owner, sizeof l->name);
        if (!resolver_ask(l->resolver, &l->query, l->policy, l->name, l->type))
            fail(l, LOOKUP_FAILED, "", "no resolver could be started");
    }
}

bool lookup_start(struct lookup *l, struct resolver *r, const struct validate_policy *policy,
                  const char *name, enum dns_type type)
{
    l->query.answered = on_answered;
    l->resolver = r;
    l->policy = policy;
    l->type = type;
    l->aliases = 0;
    CHECK(strlen(name) < sizeof l->name);
    strcpy(l->name, name);
    return resolver_ask(r, &l->query, policy, l->name, type);
}

void lookup_cancel(struct lookup *l) { resolver_cancel(&l->query); }

// eab: what the operations on keys for external account binding share: one key (eab.c), and many at
// once (eab_import.c).
#pragma once
#include "api/admin/admin.h"

// The parameters that bound a key.
#define EAB_BOUND_PARAMS                                                                       \
    {"algorithms",   ADMIN_TEXTS,                                                              \
     ADMIN_BODY,     .choice = "HS256|HS384|HS512",                                            \
     .value = "A,B", .help = "MAC algorithms that are taken; all three unless given."},        \
        {"expires", ADMIN_TIME, ADMIN_BODY, .value = "TIME",                                   \
         .help = "When it makes no more accounts: 2027-01-31T00:00:00Z, 90d from now, or "     \
                 "never."},                                                                    \
        {"accounts_max",                                                                       \
         ADMIN_INT,                                                                            \
         ADMIN_BODY,                                                                           \
         .min = 0,                                                                             \
         .max = 1000000000,                                                                    \
         .value = "N",                                                                         \
         .help = "How many accounts it may make; 0: any number."},                             \
        {"identifiers", ADMIN_TEXTS, ADMIN_BODY, .value = "A,B",                               \
         .help = "What its accounts may order: corp.test (it and all below), .corp.test (all " \
                 "below), 10.0.0.0/8; nothing: everything."},                                  \
        {"profiles", ADMIN_TEXTS, ADMIN_BODY, .value = "A,B",                                  \
         .help = "Profiles that its accounts may order; nothing: all of the tenant."},         \
    {                                                                                          \
        "comment", ADMIN_TEXT, ADMIN_BODY, .value = "TEXT", .help = "For people."              \
    }

// eab_bounds_read fills tenant and bounds of a row from the call's parameters. NULL, or a sentence.
const char *eab_bounds_read(struct admin_call *c, const struct tenant *t, struct eab_row *row);
// eab_secret_seal fills the row's secret. Errors as eab_seal; ERR_NO_SPACE for an empty one.
RESULT eab_secret_seal(struct admin_call *c, struct eab_row *row, struct slice secret);

// authz: authorizations and their challenges, as the files of both share them.
#pragma once
#include "api/request.h"

// authz_status_at is the state that a reader sees: one that nobody proved in time has failed, a
// proof expires (RFC 8555 section 7.1.6).
enum authz_status authz_status_at(const struct request *r, const struct authz_row *z);
bool authz_is_pending(const struct request *r, const struct authz_row *z);
// authz_is_running says whether this core is validating one of its challenges.
bool authz_is_running(struct request *r, const struct authz_row *z);
// authz_poll_soon says whether the client should ask again in a moment (Retry-After).
bool authz_poll_soon(struct request *r, const struct authz_row *z);
// authz_respond answers 200 with the document; authz_respond_new another status, with its URL in
// Location.
void authz_respond(struct request *r, const struct authz_row *z);
void authz_respond_new(struct request *r, unsigned status, const struct authz_row *z);
// authz_load reads the authorization in the path, which must be this account's, then runs `next`;
// answers by itself otherwise. `what` names it for people: "authorization", "challenge".
void authz_load(struct request *r, const char *what,
                void (*next)(struct request *r, const struct authz_row *z));
// challenges_put writes the challenges of an authorization: all that are offered, or once one has
// decided, that one (RFC 8555 section 7.1.4; challenge.c).
void challenges_put(struct request *r, struct json_out *o, const struct authz_row *z);

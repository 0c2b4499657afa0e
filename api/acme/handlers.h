// handlers: one function per row of routes.def; each ends its request with exactly one answer, now
// or later.
#pragma once
#include "api/request.h"

// Without authentication.
void directory_get(struct request *r);
void nonce_get(struct request *r);
// After the envelope: key (JWK) or account (KID) are verified, the nonce is redeemed, the payload
// is parsed.
void account_new(struct request *r);
void account_post(struct request *r);
void key_change(struct request *r);
void order_new(struct request *r);
void order_read(struct request *r);
void orders_read(struct request *r);
void finalize_post(struct request *r);
void authz_new(struct request *r);
void authz_post(struct request *r);
void challenge_post(struct request *r);
void certificate_read(struct request *r);
void certificate_revoke(struct request *r);
void renewal_info_get(struct request *r); // without authentication

// account_status_text is the text of documents ("valid"). Never NULL.
const char *account_status_text(enum account_status s);

// account_change_respond answers for a change of the request's account with what became of it: the
// account document, or a problem. Not for ACCOUNT_KEY_TAKEN.
void account_change_respond(struct request *r, enum account_outcome outcome,
                            const struct account_row *row);
// cert_id_look compares an identifier's authority key identifier with the certificate's issuer. A
// front end that has met no signer yet does not know the issuers: then the serial number alone,
// which nobody can guess, says which certificate it is.
struct cert_id;
enum cert_id_issuer { CERT_ID_SAME, CERT_ID_OTHER, CERT_ID_NOT_KNOWN };
enum cert_id_issuer cert_id_look(const struct request *r, const struct cert_id *id,
                                 uint16_t issuer);
// envelope_form_refuse answers for a JWS that jws_parse refused; `note` is jws_parse's, "" for
// none.
void envelope_form_refuse(struct request *r, struct err e, const char *note);
// envelope_check authenticates a POST (RFC 8555 sections 6.2 to 6.5), then runs the route's
// handler.
void envelope_check(struct request *r);

// directory: what this tenant offers (RFC 8555 section 7.1.1) and fresh nonces (section 7.2). It
// advertises exactly what works.
#include "api/acme/handlers.h"

#include "proto/text/json.h"

enum { MAX_AGE_S = 60 };

static void url_put(struct request *r, struct json_out *o, const char *name, const char *path)
{
    json_key(o, name);
    json_put_str(o, request_url(r, "%s", path));
}

// profiles_put advertises those of the tenant that a connected signer offers
// (draft-ietf-acme-profiles).
static void profiles_put(struct request *r, struct json_out *o)
{
    const struct config_list *profiles = &r->tenant->settings->profiles;
    json_key(o, "profiles");
    json_object_begin(o);
    for (size_t i = 0; i < profiles->count; i++) {
        const char *name = ((const char *const *)profiles->items)[i];
        const struct signer_profile *p = catalog_profile(&r->edge->catalog, slice_str(name));
        if (p == NULL) continue;
        json_key(o, name);
        json_put_string(o, p->text);
    }
    json_object_end(o);
}

static void meta_put(struct request *r, struct json_out *o)
{
    const struct tenant_settings *t = r->tenant->settings;
    json_key(o, "meta");
    json_object_begin(o);
    if (t->terms_of_service != NULL) {
        json_key(o, "termsOfService");
        json_put_str(o, t->terms_of_service);
    }
    if (t->website != NULL) {
        json_key(o, "website");
        json_put_str(o, t->website);
    }
    if (t->caa_identities.count > 0) {
        json_key(o, "caaIdentities");
        json_array_begin(o);
        for (size_t i = 0; i < t->caa_identities.count; i++)
            json_put_str(o, ((const char *const *)t->caa_identities.items)[i]);
        json_array_end(o);
    }
    if (t->eab == EAB_REQUIRED) {
        json_key(o, "externalAccountRequired");
        json_put_bool(o, true);
    }
    profiles_put(r, o);
    json_object_end(o);
}

void directory_get(struct request *r)
{
    struct json_out o;
    json_out_begin(&o, edge_scratch(r->edge));
    json_object_begin(&o);
    url_put(r, &o, "newNonce", "new-nonce");
    url_put(r, &o, "newAccount", "new-account");
    if (r->tenant->settings->pre_authorization) url_put(r, &o, "newAuthz", "new-authz");
    url_put(r, &o, "newOrder", "new-order");
    url_put(r, &o, "revokeCert", "revoke-cert");
    url_put(r, &o, "keyChange", "key-change");
    url_put(r, &o, "renewalInfo", "renewal-info");
    meta_put(r, &o);
    json_object_end(&o);
    if (r->x->request.method != HTTP_POST) r->max_age = MAX_AGE_S;
    request_respond_json(r, 200, &o);
}

void nonce_get(struct request *r)
{
    r->fresh_nonce = true;
    request_respond(r, r->x->request.method == HTTP_HEAD ? 200 : 204, NULL, SLICE_NONE);
}

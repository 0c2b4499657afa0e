// router: from an HTTP request to the route that serves it. The table is routes.def; the build says
// what is missing when a row is added.
#pragma once
#include "api/request.h"

// router_handler serves ACME for an edge: give it to server_new with the edge as ctx.
const struct server_handler *router_handler(void);
// route_find matches the part of a path below the tenant; `segments` get what each "*" stood for.
// NULL: none. Pure.
const struct route *route_find(struct slice rest, struct slice segments[ROUTE_SEGMENT_COUNT_MAX]);
// router_path_split takes "/directory", "/dir" and "/acme/<tenant>/<rest>" apart; tenant is empty
// for the default one. Pure.
bool router_path_split(struct slice path, struct slice *tenant, struct slice *rest);
// router_origin is the origin ("https://acme.corp:14000") of every URL that a tenant shows to a
// client that asked for `authority`: base_url where there is one, else the configured spelling of
// that host. NULL when the tenant does not answer for it. In the arena. Pure.
const char *router_origin(struct arena *a, const struct tenant_settings *t, struct slice authority);
// router_metric counts answers by route (NULL: none) and status class. router_metrics_declare
// declares the rows.
const struct metric *router_metric(const struct route *route, unsigned status);
void router_metrics_declare(void);

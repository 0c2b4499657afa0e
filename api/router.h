// router: from an HTTP request to the route that serves it. The table is routes.def; the build says
// what is missing when a row is added.
#pragma once
#include "api/request.h"

// router_handler serves ACME for an edge: give it to server_new with the edge as ctx.
const struct server_handler *router_handler(void);
// route_find matches the part of a path below the tenant; *segment is what "*" stood for. NULL:
// none. Pure.
const struct route *route_find(struct slice rest, struct slice *segment);
// router_path_split takes "/directory", "/dir" and "/acme/<tenant>/<rest>" apart; tenant is empty
// for the default one. Pure.
bool router_path_split(struct slice path, struct slice *tenant, struct slice *rest);

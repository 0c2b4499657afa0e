// settings_tenant: the rows of one tenant's settings, for settings.c.
#pragma once
#include "api/settings.h"

extern const struct setting tenant_rows[];
// tenant_wrong checks one struct tenant_settings, tenants_wrong the config_list of all of them;
// NULL or what is wrong with it.
const char *tenant_wrong(const void *value);
const char *tenants_wrong(const void *list);

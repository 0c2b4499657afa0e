#include "bench/micro/crypto_mb.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

// Its entry points, of which the dispatched ones are for what mbx_is_crypto_mb_applicable answers.
static bool functions_find(struct crypto_mb *out, void *library)
{
    int (*applicable)(uint64_t features);
    *(void **)&applicable = dlsym(library, "mbx_is_crypto_mb_applicable");
    *(void **)&out->sign = dlsym(library, "mbx_nistp256_ecdsa_sign_mb8");
    *(void **)&out->verify = dlsym(library, "mbx_nistp256_ecdsa_verify_mb8");
    return applicable != NULL && out->sign != NULL && out->verify != NULL && applicable(0) != 0;
}

static bool file_load(struct crypto_mb *out, const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return false;
    if (!functions_find(out, library)) {
        dlclose(library);
        return false;
    }
    const char *name = strrchr(path, '/');
    snprintf(out->name, sizeof out->name, "%s", name != NULL ? name + 1 : path);
    return true;
}

bool crypto_mb_load(struct crypto_mb *out, const char *deps)
{
    glob_t found = {0};
    char pattern[4096];
    bool loaded = false;
    if (deps != NULL) {
        snprintf(pattern, sizeof pattern, "%s/root/usr/lib/*/libcrypto_mb.so.*.*", deps);
        if (glob(pattern, 0, NULL, &found) == 0)
            for (size_t i = found.gl_pathc; i-- > 0 && !loaded;)
                loaded = file_load(out, found.gl_pathv[i]);
        globfree(&found);
    }
    return loaded || file_load(out, "libcrypto_mb.so.12") || file_load(out, "libcrypto_mb.so.11");
}

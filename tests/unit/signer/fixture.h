// fixture: what the signer's unit tests share: issuing CAs in memory, profiles, intents that fit
// them, and folders that go away.
#pragma once
#include "signer/keystore.h"
#include "signer/profile.h"
#include "tests/support/make.h"
#include "tests/unit/unit.h"

enum { FIXTURE_NOW_S = 1780000000, FIXTURE_VALIDITY_S = 86400 }; // in May 2026

// fixture_issuer makes an issuing CA of a key kind under a root of the same kind, valid from a
// day before FIXTURE_NOW_S for `life_s`. Everything lives in the arena; the keys are make_key's
// numbers 100 (root) and 101.
void fixture_issuer(struct issuer *out, struct arena *a, enum key_type type, unsigned bits,
                    int64_t life_s);
// struct fixture_profile owns what a profile borrows. fixture_profile_init takes every key kind and
// any name, 24 h; fixture_profile_remake makes the profile again after a change of the settings.
struct fixture_profile {
    struct profile_settings settings;
    const char *kinds[KEY_KINDS_MAX], *names[8];
    struct profile profile;
};
void fixture_profile_init(struct fixture_profile *p, const char *name);
void fixture_profile_remake(struct fixture_profile *p);
// fixture_intent is one that fits profile and issuer: `count` names of different lengths, of this
// key, not_before a minute before `now_s`.
struct intent fixture_intent(struct arena *a, const struct profile *p, const struct issuer *issuer,
                             struct slice spki, size_t count, int64_t now_s);
// fixture_names sets an intent's names: canonical, in any order, separated by commas.
void fixture_names(struct intent *in, struct arena *a, const char *names);

// fixture_folder makes a folder below /tmp and returns its path, which fixture_folder_remove
// removes with all in it.
char *fixture_folder(void);
void fixture_folder_remove(char *path);
// fixture_path joins folder and name in the arena; fixture_write writes a file with a mode;
// fixture_read reads one whole.
const char *fixture_path(struct arena *a, const char *folder, const char *name);
void fixture_write(const char *path, struct slice content, unsigned mode);
struct slice fixture_read(struct arena *a, const char *path);

// The state folder of `certmill dev`: made or taken, checked, locked.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/cli/dev.h"
#include "cluster/core/files.h"

static const char other[] = "choose another folder with --state";

void dev_path(char out[DEV_PATH_MAX], const struct dev *d, const char *name)
{
    snprintf(out, DEV_PATH_MAX, "%s/%s", d->state, name);
}

bool dev_file_write(struct dev *d, const char *name, bool secret, const char *text)
{
    char note[FILES_NOTE_MAX];
    return !failed(file_replace(note, d->dir, name, slice_str(text), secret)) ||
           dev_refuse(d, "in %s: %s", d->state, note);
}

bool dev_file_exists(const struct dev *d, const char *name)
{
    return faccessat(d->dir, name, F_OK, 0) == 0;
}

static bool secret_make(struct dev *d, const char *name)
{
    uint8_t random[32];
    char text[2 * sizeof random + 2];
    if (dev_file_exists(d, name)) return true;
    RAND_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) snprintf(text + 2 * i, 3, "%02x", random[i]);
    strcat(text, "\n");
    bool ok = dev_file_write(d, name, true, text);
    OPENSSL_cleanse(text, sizeof text);
    OPENSSL_cleanse(random, sizeof random);
    return ok;
}

// entered_by asks, in a child that has become that user, whether it may enter a folder.
static bool entered_by(const struct passwd *user, const char *path)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
              setuid(user->pw_uid) != 0 || access(path, X_OK) != 0);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

// user_enters: PostgreSQL's user must get to its data, so the folder, or what of its path is there,
// must be open to it.
static bool user_enters(struct dev *d)
{
    char path[DEV_STATE_MAX];
    struct stat st;
    const struct passwd *user = d->pg.user == NULL ? NULL : getpwnam(d->pg.user);
    if (user == NULL) return true;
    snprintf(path, sizeof path, "%s", d->state);
    for (char *slash; stat(path, &st) != 0 && (slash = strrchr(path, '/')) != NULL;)
        slash[slash == path] = 0;
    if (!S_ISDIR(st.st_mode) || entered_by(user, path)) return true;
    return dev_refuse(d,
                      "%s is closed to the user %s, as whom PostgreSQL runs because it refuses to "
                      "run as root; %s",
                      path, d->pg.user, other);
}

static bool folders_make(struct dev *d)
{
    char path[DEV_STATE_MAX];
    snprintf(path, sizeof path, "%s", d->state);
    for (char *p = path + 1; p != NULL;) {
        p = strchr(p, '/');
        if (p != NULL) *p = 0;
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return dev_refuse(d, "%s cannot be made: %s; %s", path, strerror(errno), other);
        if (p != NULL) *p++ = '/';
    }
    return true;
}

// untouched: whether the folder holds nothing but what somebody may give to a first start: a CA
// that `certmill init` made in signer/, with its passphrase.
static bool untouched(int dir)
{
    static const char *const given[] = {".", "..", "signer", "passphrase"};
    bool good = true;
    DIR *all = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (all == NULL) return false;
    for (const struct dirent *e; good && (e = readdir(all)) != NULL;) {
        good = false;
        for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
            good |= strcmp(e->d_name, given[i]) == 0;
    }
    closedir(all);
    return good;
}

// folder_check: secrets are written here, and a first start makes many files.
static bool folder_check(struct dev *d)
{
    struct stat st;
    if (fstat(d->dir, &st) != 0)
        return dev_refuse(d, "%s cannot be read: %s; %s", d->state, strerror(errno), other);
    if (st.st_uid != geteuid()) {
        const struct passwd *owner = getpwuid(st.st_uid);
        return dev_refuse(d, "%s belongs to %s; start as that user, or %s", d->state,
                          owner == NULL ? "another user" : owner->pw_name, other);
    }
    if ((st.st_mode & S_IWOTH) != 0)
        return dev_refuse(d, "%s can be written by everybody; run chmod o-w on it, or %s", d->state,
                          other);
    if (!dev_file_exists(d, "lock") && !untouched(d->dir))
        return dev_refuse(d, "%s holds files that are not from `certmill dev`; %s", d->state,
                          other);
    return true;
}

static bool lock_take(struct dev *d)
{
    d->lock = openat(d->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock < 0)
        return dev_refuse(d, "%s/lock cannot be written: %s; %s", d->state, strerror(errno), other);
    if (flock(d->lock, LOCK_EX | LOCK_NB) == 0) return true;
    return dev_refuse(
        d, "another `certmill dev` runs on %s; stop it, or choose another folder with --state",
        d->state);
}

bool dev_state_open(struct dev *d)
{
    char real[PATH_MAX];
    if (!user_enters(d) || !folders_make(d)) return false;
    d->dir = open(d->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->dir < 0 || realpath(d->state, real) == NULL)
        return dev_refuse(d, "%s cannot be used: %s; %s", d->state, strerror(errno), other);
    if (snprintf(d->state, sizeof d->state, "%s", real) >= (int)sizeof d->state)
        return dev_refuse(d, "the path of the state folder is longer than %d bytes; %s",
                          DEV_STATE_MAX - 1, other);
    if (!folder_check(d) || !lock_take(d)) return false;
    if (mkdirat(d->dir, "log", 0755) != 0 && errno != EEXIST)
        return dev_refuse(d, "%s/log cannot be made: %s; %s", d->state, strerror(errno), other);
    return secret_make(d, "passphrase") && secret_make(d, "cluster-secret");
}

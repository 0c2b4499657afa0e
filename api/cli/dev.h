// dev: the parts of `certmill dev`: command line, state folder, the files that it writes, what it
// prints. One thread; each part leaves one sentence in `note` when it returns false.
#pragma once
#include "api/cli/postgres.h"
#include "api/cli/process.h"

enum {
    DEV_FRONTS_MAX = 4,
    DEV_NOTE_MAX = 2048,
    DEV_STATE_MAX = 900,                  // bytes of the state folder's path
    DEV_PATH_MAX = DEV_STATE_MAX + 256,   // bytes of a path below it
    DEV_PORTS = 4 + 2 * DEV_FRONTS_MAX,   // from --private-port on
    DEV_SHELL_MAX = 4 * DEV_PATH_MAX + 3, // bytes of a path as the shell reads it
};

struct dev {
    char state[DEV_STATE_MAX]; // absolute once dev_state_open has returned true
    char host[64];             // of --listen; IPv6 in brackets
    char resolver[64];         // of --resolver; "": the host's
    unsigned port, http_port, tls_alpn_port, private_port, fronts;
    bool once, seams;
    int dir, lock; // descriptors of the state folder and of its lock; -1
    struct postgres pg;
    struct process signer, front[DEV_FRONTS_MAX];
    int signals; // signalfd of what asks us to stop
    char note[DEV_NOTE_MAX];
};

// dev_refuse writes the sentence; always false.
bool dev_refuse(struct dev *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void dev_path(char out[DEV_PATH_MAX], const struct dev *d, const char *name);

// dev_options_read fills `d` from the command line. 0; 2 after a sentence and the usage on standard
// error; --help ends the program.
int dev_options_read(struct dev *d, int argc, char **argv);

// dev_state_open makes the state folder or takes the one that is there, and locks it: ours alone,
// open to PostgreSQL's user (`d->pg.user`, when we are root), empty or made by us before.
bool dev_state_open(struct dev *d);
// dev_file_write writes a file of the state folder, whole or not at all.
bool dev_file_write(struct dev *d, const char *name, bool secret, const char *text);
bool dev_file_exists(const struct dev *d, const char *name);

// dev_ports_check tells of ports that others hold before anything is started.
bool dev_ports_check(struct dev *d);
unsigned dev_signer_port(const struct dev *d);
unsigned dev_signer_private_port(const struct dev *d);
unsigned dev_crl_port(const struct dev *d); // of the first front end
// dev_admin_port is where the first front end listens for administrators; dev_has_admin says
// whether the CA has a certificate for them.
unsigned dev_admin_port(const struct dev *d);
bool dev_has_admin(const struct dev *d);
// dev_signer_config and dev_front_config write signer.yaml and acme-I.yaml.
bool dev_signer_config(struct dev *d);
bool dev_front_config(struct dev *d, unsigned i);

// dev_server_name is the address that the server's certificate must name beside localhost's:
// --listen's without brackets; NULL when localhost will do.
const char *dev_server_name(const struct dev *d, char out[64]);
// dev_url writes the directory's URL.
void dev_url(char out[256], const struct dev *d);
// dev_shell writes `text` as one word of a POSIX shell, quoted where it must be.
const char *dev_shell(char *out, size_t size, const char *text);
// dev_block_print says what is served and how to use it.
void dev_block_print(const struct dev *d);

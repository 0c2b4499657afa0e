// admin: the admin operations as commands: `certmill NOUN VERB`. The command line is read by the
// table of operations; the call is made in this process on the database (admin_local.c), or over
// an admin listener (admin_remote.c); the answer is printed as text or as JSON (admin_print.c).
#pragma once
#include "api/admin/admin.h"

enum { CLI_NOTE_MAX = 1024, CLI_ARGUMENTS_MAX = 64 };

struct cli_argument {
    const struct admin_param *param;
    const char *text;
};

struct cli {
    const struct admin_operation *op;
    struct arena arena; // of everything here
    const char *config; // a front end's configuration: in this process
    const char *admin;  // or the URL of an admin listener
    const char *cert, *key, *trust;
    bool json, all;
    struct cli_argument arguments[CLI_ARGUMENTS_MAX];
    size_t argument_count;
    // the answer
    unsigned status;
    struct slice body;
    char note[CLI_NOTE_MAX]; // why there is none
    bool usage;              // because of the command line or the configuration
};

// struct cli_door is the way to the operations: opened once, asked once or more, closed. open and
// ask: false with a sentence in cli->note. After `ask` cli->status and cli->body say what came.
struct cli_door {
    bool (*open)(void **out, struct cli *cli);
    bool (*ask)(void *door, struct cli *cli);
    void (*close)(void *door);
};
extern const struct cli_door cli_local;  // in this process
extern const struct cli_door cli_remote; // over TLS, at an admin listener

// cli_print prints the answer to standard output; false: it cannot be read.
bool cli_print(struct cli *cli);
// cli_next is the cursor of the next page in the answer, NULL: it is the last.
const char *cli_next(struct cli *cli);
// cli_problem is the detail of a problem, or a sentence with the status.
const char *cli_problem(struct cli *cli);
// cli_option writes the option of a parameter: "--accounts-max".
void cli_option(char out[64], const struct admin_param *p);

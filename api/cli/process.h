// process: child processes of `certmill dev`: started in their own process group, their output in a
// file, ended in order and never left behind (they get a signal when this program dies). One
// thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct process {
    const char *name;    // for messages; borrowed
    char program[32];    // the file's name: what its own sentences begin with
    pid_t pid;           // 0: not running
    int stop_signal;     // what asks it to end gracefully
    char log_path[4096]; // its standard output and error, appended
    off_t log_from;      // where in the log this run begins
};

struct process_options {
    const char *name;
    const char *const *argv; // NULL-terminated; argv[0] is the path
    const char *log_path;
    const char *user; // run as this user; NULL: as we are
    const char *dir;  // working directory; NULL: ours
    int stop_signal;
};

// process_start forks and executes. False with a sentence in `note` when that cannot be done.
bool process_start(struct process *p, const struct process_options *o, char *note,
                   size_t note_size);
// process_alive reaps without waiting: false once it has ended; *out_status is waitpid's then (may
// be NULL).
bool process_alive(struct process *p, int *out_status);
// process_stop sends the stop signal, waits up to `wait_ms`, then kills. Returns waitpid's status,
// 0 when it was not running.
int process_stop(struct process *p, unsigned wait_ms);
// process_run starts, waits for the end and returns the exit code (128 + signal), or -1 when it
// could not be started; other than 0 with a sentence.
int process_run(const struct process_options *o, char *note, size_t note_size);
// process_ended_note writes the sentence for a process that should not have ended: in its own last
// words, where this run left a line "PROGRAM: why" in the log, and where all of it is.
void process_ended_note(const struct process *p, char *note, size_t note_size);
// process_log_tail prints the last `lines` lines of this run's log to standard error.
void process_log_tail(const struct process *p, unsigned lines);

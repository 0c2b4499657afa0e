// commands: the operator's command `certmill`: one function per command; each takes its own
// arguments (argv[0] is the command) and returns the exit code: 0 done, 1 failed, 2 the command
// line or a configuration is not usable.
#pragma once

int dev_main(int argc, char **argv);
int init_main(int argc, char **argv);
int migrate_main(int argc, char **argv);
int config_main(int argc, char **argv);

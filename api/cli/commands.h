// commands: the operator's command `certmill`: one function per command; each takes its own
// arguments (argv[0] is the command) and returns the exit code: 0 done, 1 failed, 2 the command
// line or a configuration is not usable.
#pragma once

// dev_main runs everything on this machine until it is told to stop, or issues one certificate.
int dev_main(int argc, char **argv);
// init_main becomes the signer's ceremony: its own program makes the keys.
int init_main(int argc, char **argv);
// migrate_main brings a database to the schema of this version.
int migrate_main(int argc, char **argv);
// eab_main and the next run the admin operations of their noun (api/admin/admin.h).
int eab_main(int argc, char **argv);
int account_main(int argc, char **argv);
int cert_main(int argc, char **argv);
int renewal_main(int argc, char **argv);
// openapi_main prints the admin operations as an OpenAPI document.
int openapi_main(int argc, char **argv);
// config_main checks a configuration file, or prints the reference of all keys.
int config_main(int argc, char **argv);

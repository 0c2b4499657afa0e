// journal_dump: `certmill-signer journal dump`: every record of a journal, for people and for the
// history checker.
#pragma once

// journal_dump_main runs the command with its own arguments (argv[0] is "journal"); returns the
// exit code.
int journal_dump_main(int argc, char **argv);

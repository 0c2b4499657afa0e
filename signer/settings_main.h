// settings_main: `certmill-signer config`: checks a configuration file, or prints the reference of
// all its keys.
#pragma once

// settings_main is the command; returns the exit code: 2 when the file is wrong.
int settings_main(int argc, char **argv);

// ceremony: `certmill-signer ceremony`: makes the root (kept apart), the issuing CA, the internal
// root and the internal and server certificates in a folder. Refuses to write over anything.
#pragma once

// ceremony_main runs the command with its own arguments (argv[0] is "ceremony"); returns the exit
// code.
int ceremony_main(int argc, char **argv);

// issuer_add: `certmill-signer add-issuer`: one more issuing CA under the root that there is, for a
// signer that starts afterwards: to follow one whose end comes near, or beside it.
#pragma once

// issuer_add_main runs the command with its own arguments (argv[0] is "add-issuer"); returns the
// exit code: 0 made, 1 failed, 2 the command line is not usable. Nothing that exists is written
// over.
int issuer_add_main(int argc, char **argv);

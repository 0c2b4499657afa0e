// paths: where the other programs are: beside this one.
#pragma once
#include <stdbool.h>

enum { PROGRAM_PATH_MAX = 4096 };

// program_path writes the path of a program in this program's own folder; false when it is not
// there.
bool program_path(char out[PROGRAM_PATH_MAX], const char *name);

// public: included before every source of proto/p256 when it is built for this folder's tests: what
// the sources say is public from there on, the watcher is told.
#pragma once
#include "tests/ctime/secret.h"

#define P256_PUBLIC(p, n) secret_clear((p), (n))

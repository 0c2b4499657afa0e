// reach: whether anybody listens at an address, asked once at the start. It blocks: main's thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct config_address; // cluster/core/config.h

// reach_any tries the addresses in turn, each for at most `timeout_ms`, until one takes a
// connection, which is closed at once. When none does, `why` gets the last one's address and
// reason.
bool reach_any(const struct config_address *addresses, size_t count, unsigned timeout_ms, char *why,
               size_t why_size);

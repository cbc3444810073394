/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Wall-clock stamps in other programs' logs. */
#include <stdbool.h>
#include <stdint.h>

/* The first ISO 8601 stamp in the line: "2026-11-21T22:52:01.123Z", with a space for the T, a comma for the dot, "+01:00" or
 * "+0100" for the Z; without a zone it is UTC. False: there is none. ns since the epoch. */
bool timestamp_find(const char *line, int64_t *ret_wall_ns);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Wall-clock stamps: in other programs' logs, and of API objects. */
#include <stdbool.h>
#include <stdint.h>

/* The first ISO 8601 stamp in the line: "2026-11-21T22:52:01.123Z", with a space for the T, a comma for the dot, "+01:00" or
 * "+0100" for the Z; without a zone it is UTC. False: there is none. ns since the epoch. */
bool timestamp_find(const char *line, int64_t *ret_wall_ns);
/* The whole text is one stamp as in RFC 3339, with a zone ("2026-11-21T22:52:01.123456Z"); false: it is not, or no day or time there is. */
bool timestamp_parse(const char *text, int64_t *ret_wall_ns);
enum { TIMESTAMP_SIZE = 32 };
/* "2026-11-21T22:52:01.123456Z": to the microsecond, what is finer is cut off. From 1970 to 2200. */
void timestamp_format(int64_t wall_ns, char out[TIMESTAMP_SIZE]);

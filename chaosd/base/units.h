/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Quantities as people write them, parsed once at the edge into SI integers. Every parser takes the whole
 * string or fails with a sentence that names what was expected; sign and overflow are checked.
 *   duration   "1m30s", "250ms", "0.5ms", "1h", "0"   ns   (Go's syntax; no negative; at most 10 years)
 *   rate       "200/s", "12000/m", "3/h"               millionths of an event a second
 *   percent    "5%", "99.9%", "0.01%"                  ppm
 *   bandwidth  "10mbit", "1gbit", "128kbps"            bits a second (tc: bit = bits, bps = bytes)
 *   bytes      "64KiB", "1.5MB", "512"                 bytes */
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

int parse_duration(const char *s, int64_t *ret_ns, struct error *err);
int parse_rate(const char *s, int64_t *ret_micro_per_s, struct error *err);
int parse_percent(const char *s, int64_t *ret_ppm, struct error *err);
int parse_bandwidth(const char *s, int64_t *ret_bits_per_s, struct error *err);
int parse_bytes(const char *s, int64_t *ret_bytes, struct error *err);
int parse_int(const char *s, int64_t *ret, struct error *err);

/* Canonical spelling, the shortest that parses back to the same value: "1m30s", "1.5ms". */
void format_duration(int64_t ns, char *out, size_t size);

/* Nearest of the names by edit distance, or NULL when none is near enough to be meant. names ends with NULL. */
const char *did_you_mean(const char *word, const char *const *names);

/* A user's text for the inside of a message: clipped at a character boundary, with "..." where something is missing. */
enum { CLIP_SIZE = 64 };
const char *text_clip(const char *s, char out[CLIP_SIZE]);

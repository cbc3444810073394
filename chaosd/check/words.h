/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Figures as a person says them: "3,412 ms", "99.2 %", "16,000". Never rounds up into a better figure than it was. */
#include <stddef.h>
#include <stdint.h>

enum { WORDS_SIZE = 48 };
/* out holds WORDS_SIZE bytes and is returned. */
const char *words_count(int64_t n, char *out);
const char *words_ms(double ms, char *out);           /* "4.2 ms"; NaN: "unknown", INFINITY: "a bad request" */
const char *words_ms_bare(double ms, char *out);      /* "4.2" */
const char *words_bytes(int64_t n, char *out);        /* "1.2 MB" */
const char *words_percent(double share, char *out);   /* of 1 */
double words_ns_ms(int64_t ns);                       /* NaN for UNKNOWN_NS */

/* SPDX-License-Identifier: Apache-2.0 */
#include "check/words.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *words_count(int64_t n, char *out) {
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, n < 0 ? -(uint64_t)n : (uint64_t)n);
    size_t len = strlen(digits), to = 0;
    if (n < 0)
        out[to++] = '-';
    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            out[to++] = ',';
        out[to++] = digits[i];
    }
    out[to] = 0;
    return out;
}

static void trim_zeros(char *s) {
    if (!strchr(s, '.'))
        return;
    char *end = s + strlen(s);
    while (end[-1] == '0')
        *--end = 0;
    if (end[-1] == '.')
        *--end = 0;
}

const char *words_ms_bare(double ms, char *out) {
    if (isnan(ms) || isinf(ms) || fabs(ms) > 1e15) {
        snprintf(out, WORDS_SIZE, "%s", isnan(ms) ? "unknown" : "a bad request");
    } else if (fabs(ms) >= 99.95) {
        words_count(llround(ms), out);
    } else {
        snprintf(out, WORDS_SIZE, "%.*f", fabs(ms) < 9.995 ? 2 : 1, ms);
        trim_zeros(out);
    }
    return out;
}

const char *words_ms(double ms, char *out) {
    words_ms_bare(ms, out);
    if (!isnan(ms) && !isinf(ms))
        strncat(out, " ms", WORDS_SIZE - strlen(out) - 1);
    return out;
}

const char *words_bytes(int64_t n, char *out) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double v = (double)n;
    size_t i = 0;
    for (; v >= 999.5 && i + 1 < sizeof units / sizeof *units; i++)
        v /= 1000;
    snprintf(out, WORDS_SIZE, "%.*f", i && v < 9.95 ? 1 : 0, v);
    trim_zeros(out);
    strncat(out, " ", WORDS_SIZE - strlen(out) - 1);
    strncat(out, units[i], WORDS_SIZE - strlen(out) - 1);
    return out;
}

const char *words_percent(double share, char *out) {
    if (isnan(share) || isinf(share)) {
        snprintf(out, WORDS_SIZE, "unknown");
        return out;
    }
    int digits = share >= 0.99 || fabs(share) < 0.01 ? 3 : 2;
    double unit = digits == 3 ? 1e5 : 1e4;
    snprintf(out, WORDS_SIZE, "%.*f", digits, floor(share * unit + 1e-6) / (unit / 100));
    trim_zeros(out);
    strncat(out, " %", WORDS_SIZE - strlen(out) - 1);
    return out;
}

double words_ns_ms(int64_t ns) { return ns == INT64_MIN ? NAN : (double)ns / 1e6; }

/* SPDX-License-Identifier: Apache-2.0 */
#include "check/latency.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Eleven bits a pass: six passes for 64 bits, of which real latencies need three. */
enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, PASSES = 6 };

int latencies_add(struct latencies *l, int64_t ns) {
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 1024;
        int64_t *p = realloc(l->ns, cap * sizeof *p);
        if (!p)
            return -ENOMEM;
        l->ns = p;
        l->cap = cap;
    }
    l->ns[l->count++] = ns < 0 ? 0 : ns;
    return 0;
}

void latencies_free(struct latencies *l) {
    free(l->ns);
    *l = (struct latencies){0};
}

static size_t digit(int64_t v, int pass) { return (size_t)((uint64_t)v >> (pass * DIGIT_BITS)) & (DIGITS - 1); }

static void count_digits(const struct latencies *l, size_t (*counts)[DIGITS]) {
    for (size_t i = 0; i < l->count; i++)
        for (int p = 0; p < PASSES; p++)
            counts[p][digit(l->ns[i], p)]++;
}

static void radix_pass(const int64_t *from, int64_t *to, size_t n, size_t *counts, int pass) {
    size_t at = 0;
    for (size_t d = 0; d < DIGITS; d++) {
        size_t c = counts[d];
        counts[d] = at;
        at += c;
    }
    for (size_t i = 0; i < n; i++)
        to[counts[digit(from[i], pass)]++] = from[i];
}

int latencies_sort(struct latencies *l) {
    if (l->count < 2)
        return 0;
    size_t (*counts)[DIGITS] = calloc(PASSES, sizeof *counts);
    int64_t *other = malloc(l->count * sizeof *other);
    if (!counts || !other) {
        free(counts);
        free(other);
        return -ENOMEM;
    }
    count_digits(l, counts);
    int64_t *from = l->ns;
    for (int p = 0; p < PASSES; p++) {
        if (counts[p][digit(from[0], p)] == l->count)
            continue; /* all alike: nothing to move */
        radix_pass(from, other, l->count, counts[p], p);
        int64_t *t = from;
        from = other;
        other = t;
    }
    if (from != l->ns) {
        memcpy(l->ns, from, l->count * sizeof *from);
        other = from;
    }
    free(other);
    free(counts);
    return 0;
}

size_t quantile_rank(size_t n, int64_t quantile_ppm) {
    unsigned __int128 up = (unsigned __int128)n * (uint64_t)quantile_ppm + 999999;
    size_t k = (size_t)(up / 1000000);
    return k < 1 ? 0 : k > n ? n - 1 : k - 1;
}

double latencies_ms(const struct latencies *l, int64_t quantile_ppm) {
    if (!l->count)
        return NAN;
    int64_t ns = l->ns[quantile_rank(l->count, quantile_ppm)];
    return ns == LATENCY_BAD ? INFINITY : (double)ns / 1e6;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "check/order.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { RUN = 32 }; /* short runs go by insertion */

static inline bool before(const struct sample *a, const struct sample *b) {
    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns;
    if (a->planned_ns != b->planned_ns)
        return a->planned_ns < b->planned_ns;
    return a < b;
}

static void insertion(const struct sample **list, size_t count) {
    for (size_t i = 1; i < count; i++) {
        const struct sample *s = list[i];
        size_t j = i;
        for (; j && before(s, list[j - 1]); j--)
            list[j] = list[j - 1];
        list[j] = s;
    }
}

/* Merges the neighbours [0, half) and [half, count) with the first part moved aside. */
static void merge(const struct sample **list, size_t half, size_t count, const struct sample **tmp) {
    if (half >= count || !before(list[half], list[half - 1]))
        return;
    memcpy(tmp, list, half * sizeof *tmp);
    size_t a = 0, b = half, to = 0;
    while (a < half && b < count)
        list[to++] = before(list[b], tmp[a]) ? list[b++] : tmp[a++];
    memcpy(list + to, tmp + a, (half - a) * sizeof *tmp);
}

int order_samples(const struct sample **list, size_t count) {
    if (count < 2)
        return 0;
    const struct sample **tmp = malloc(count * sizeof *tmp);
    if (!tmp)
        return -ENOMEM;
    for (size_t i = 0; i < count; i += RUN)
        insertion(list + i, count - i < RUN ? count - i : RUN);
    for (size_t half = RUN; half < count; half *= 2)
        for (size_t i = 0; i < count; i += half * 2)
            merge(list + i, half, count - i < half * 2 ? count - i : half * 2, tmp);
    free(tmp);
    return 0;
}

size_t order_find(const struct sample *const *list, size_t count, int64_t t) {
    size_t lo = 0, hi = count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (list[mid]->start_ns < t)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

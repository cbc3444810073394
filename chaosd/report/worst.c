/* SPDX-License-Identifier: Apache-2.0 */
#include "report/worst.h"

#include <stdlib.h>

struct ranked { int64_t weight; size_t index; };

static int by_weight(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    return x->weight != y->weight ? (x->weight < y->weight) - (x->weight > y->weight) : (x->index > y->index) - (x->index < y->index);
}

static int by_index(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

size_t *worst_of(const void *of, size_t n, size_t most, int64_t (*weight)(const void *of, size_t i), size_t *ret_count) {
    size_t count = n < most ? n : most;
    struct ranked *list = calloc(n + 1, sizeof *list);
    size_t *chosen = calloc(count + 1, sizeof *chosen);
    if (!list || !chosen) {
        free(list);
        free(chosen);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        list[i] = (struct ranked){weight(of, i), i};
    if (n > most)
        qsort(list, n, sizeof *list, by_weight);
    for (size_t i = 0; i < count; i++)
        chosen[i] = list[i].index;
    qsort(chosen, count, sizeof *chosen, by_index);
    free(list);
    *ret_count = count;
    return chosen;
}

int64_t worst_act(const struct act_figures *f) {
    if (f->stuck)
        return INT64_MAX;
    if (f->acted && f->holds && !f->reverted)
        return INT64_MAX - 1;
    if (f->acted && !f->observed)
        return INT64_MAX - 2;
    if (f->acted && f->censored)
        return INT64_MAX - 3;
    return f->acted ? (f->sustained != UNKNOWN_NS ? f->sustained : 0) : -1;
}

static int64_t act_weight(const void *of, size_t i) { return worst_act(&((const struct act_figures *)of)[i]); }
static int64_t window_weight(const void *of, size_t i) { return downtime_known(&((const struct downtime *)of)[i]); }

size_t *worst_acts(const struct judgement *j, size_t most, size_t *ret_count) { return worst_of(j->acts, j->act_count, most, act_weight, ret_count); }

size_t *worst_windows(const struct downtime *windows, size_t count, size_t most, size_t *ret_count) {
    return worst_of(windows, count, most, window_weight, ret_count);
}

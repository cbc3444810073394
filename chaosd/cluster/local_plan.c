/* SPDX-License-Identifier: Apache-2.0 */
/* The pods that a local cluster will have, known before it is there. */
#include "cluster/local.h"

static void decref(void *j) { json_decref(j); }

static const json_t *labels_of(const struct workload *w, struct arena *a) {
    json_t *labels = json_object();
    if (!labels || arena_defer(a, decref, labels) < 0)
        return NULL;
    for (size_t i = 0; i < w->labels.count; i++)
        json_object_set_new(labels, w->labels.items[i].key, json_string(w->labels.items[i].value));
    return labels;
}

size_t local_declared(const struct kind_value *v, struct arena *a, struct candidate **ret) {
    const struct local_config *c = v->params;
    const struct workload *w = c->workloads.items;
    size_t total = 0, n = 0;
    for (size_t i = 0; i < c->workloads.count; i++)
        total += (size_t)w[i].replicas;
    struct candidate *list = arena_alloc(a, (total + 1) * sizeof *list);
    for (size_t i = 0; list && i < c->workloads.count; i++) {
        const json_t *labels = labels_of(&w[i], a);
        for (int64_t k = 0; k < w[i].replicas; k++, n++) {
            const char *name = arena_printf(a, "%s-%d", w[i].name, (int)k);
            if (!name)
                return 0;
            list[n] = (struct candidate){.uid = name, .name = name, .namespace = w[i].namespace, .phase = "Pending", .labels = labels, .tag = &w[i]};
            list[n].node = arena_printf(a, "n%d", (int)((int64_t)n % c->nodes) + 1);
        }
    }
    *ret = list;
    return n;
}

json_t *local_workloads(const struct kind_value *v) {
    const struct local_config *local = v->params;
    json_t *list = json_array();
    for (size_t i = 0; i < local->workloads.count; i++) {
        const struct workload *w = &((const struct workload *)local->workloads.items)[i];
        json_array_append_new(list, json_pack("{s:s,s:I}", "name", w->name, "replicas", (json_int_t)w->replicas));
    }
    return list;
}

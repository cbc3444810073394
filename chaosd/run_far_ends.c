/* SPDX-License-Identifier: Apache-2.0 */
/* The pods at the other end of an act: another target's, drawn once and kept, however often they are asked for while the act is held. */
#include "base/cleanup.h"
#include "run_internal.h"

#include <string.h>

static bool drawn_before(const struct act *a, const struct candidate *c) { return json_object_get(a->far_ends, c->uid) != NULL; }

struct around {
    struct candidate fit[MAX_PODS]; /* that could be drawn now, whether or not they were before */
    size_t fit_count;
    const struct pod *stays[MAX_PODS];
    size_t stays_count;
};

/* Whoever was drawn for its role stays also without it: the fault itself may have taken it. */
static void look_around(const struct act *a, const struct pod_target *t, struct around *ret) {
    ret->stays_count = 0;
    const size_t n = pods_candidates(a->run, t->selector, ret->fit, MAX_PODS);
    size_t fit = 0;
    for (size_t i = 0; i < n; i++) {
        const struct pod *p = ret->fit[i].tag;
        if (strcmp(p->uid, a->pub.uid) == 0 || p->phase == POD_ENDED)
            continue;
        if (drawn_before(a, &ret->fit[i]))
            ret->stays[ret->stays_count++] = p;
        if (pods_fit_role(a->run, p->uid, t->selector))
            ret->fit[fit++] = ret->fit[i];
    }
    ret->fit_count = fit;
}

size_t act_far_ends(struct fault_act *pub, const struct pod_target *t, const struct pod **list, size_t max) {
    struct act *a = (struct act *)pub;
    struct around all;
    look_around(a, t, &all);
    const size_t wanted = selector_draw(t, pub->draw + 1, all.fit, all.fit_count); /* a draw of its own */
    size_t n = 0;
    for (size_t i = 0; i < all.stays_count && n < max; i++)
        list[n++] = all.stays[i];
    for (size_t i = 0; i < wanted && n < wanted && n < max; i++)
        if (!drawn_before(a, &all.fit[i]))
            list[n++] = all.fit[i].tag;
    cleanup_json json_t *now = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(now, list[i]->uid, json_true());
    json_decref(a->far_ends);
    a->far_ends = take_ptr(now);
    return n;
}

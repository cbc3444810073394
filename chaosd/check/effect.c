/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel counted of a network fault, and what was measured of it: from the act's events. */
#include "base/json.h"
#include "check/internal.h"
#include "check/orderstat.h"

#include <string.h>

static int64_t count_or(const json_t *data, const char *key, int64_t fallback) {
    int64_t v = json_int_or(data, key, fallback);
    return v < 0 ? fallback : v;
}

static void learn_counts(struct act_effect *a, const json_t *data) {
    a->packets = count_or(data, "packets", a->packets);
    a->bytes = count_or(data, "bytes", a->bytes);
    a->queue_sent = count_or(data, "queue_sent", a->queue_sent);
    a->queue_dropped = count_or(data, "queue_dropped", a->queue_dropped);
    a->cut = count_or(data, "cut", a->cut);
    a->drain = time_or(data, "drain_ns", a->drain);
}

/* Only what hangs together is believed: the history may be anybody's. */
static void learn_measured(struct act_measured *m, const json_t *data) {
    *m = (struct act_measured){.known = true, .why = json_str_or(data, "why", NULL), .sent = count_or(data, "sent", 0), .lost = count_or(data, "lost", 0),
                               .sent_after = count_or(data, "sent_after", 0), .lost_after = count_or(data, "lost_after", 0),
                               .rtt = time_or(data, "rtt_ns", UNKNOWN_NS), .rtt_after = time_or(data, "rtt_after_ns", UNKNOWN_NS)};
    m->lost = m->lost > m->sent ? m->sent : m->lost;
    m->lost_after = m->lost_after > m->sent_after ? m->sent_after : m->lost_after;
    m->added = m->rtt == UNKNOWN_NS || m->rtt_after == UNKNOWN_NS ? UNKNOWN_NS : m->rtt - m->rtt_after;
    wilson_at((size_t)m->lost, (size_t)m->sent, WILSON_99, &m->loss_low, &m->loss_high);
}

const char *act_unseen_why(const struct act_figures *f) {
    if (f->unclear)
        return f->why;
    if (f->trouble || !f->by)
        return f->trouble;
    if (f->affected.packets)
        return NULL; /* not known, or not proven otherwise: no word of packets */
    return f->by_share ? "no packet was dropped" : "no packet matched";
}

void effect_init(struct act_figures *f) {
    f->affected = (struct act_effect){.packets = -1, .bytes = -1, .queue_sent = -1, .queue_dropped = -1, .drain = UNKNOWN_NS};
}

void effect_learn(struct act_figures *f, const struct event *e) {
    if (!strcmp(e->op, "fault/act") && !strcmp(e->phase, "ok")) {
        f->by = json_str_or(e->data, "by", f->by);
        f->by_share = json_object_get(e->data, "share_ppm") != NULL;
    } else if (!strcmp(e->op, "fault/observed") || (!strcmp(e->op, "fault/revert") && !strcmp(e->phase, "ok"))) {
        learn_counts(&f->affected, e->data);
    } else if (!strcmp(e->op, "fault/trouble") && !f->trouble) {
        f->trouble = json_str_or(e->data, "why", "no reason given");
    } else if (!strcmp(e->op, "fault/measured")) {
        learn_measured(&f->measured, e->data);
    }
}

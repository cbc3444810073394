/* SPDX-License-Identifier: Apache-2.0 */
#include "check/internal.h"

/* Bad for what the target did, which no stall of chaosd brings about. */
static const bool said_by_target[REASON_COUNT] = {
    [REASON_REFUSED] = true, [REASON_UNREACHABLE] = true, [REASON_STATUS] = true,
    [REASON_BODY] = true, [REASON_PROTOCOL] = true, [REASON_TOO_BIG] = true,
};

/* Until when a request was in chaosd's hands: what has gone out is the target's, and an answer to it is read before the deadline
 * is declared over. Of one that never went out, or had more steps, nobody knows what a stall took from it. */
static int64_t own_until(const struct sample *s) {
    if (!(s->flags & SAMPLE_SENT) || s->steps)
        return s->end_ns;
    uint32_t us = s->tls_us > s->connect_us ? s->tls_us : s->connect_us;
    return s->start_ns + (int64_t)us * 1000;
}

bool stall_excuses(const struct work *w, const struct load_work *l, const struct sample *s) {
    if ((s->outcome != OUTCOME_BAD && s->outcome != OUTCOME_UNSENT_CAP) || said_by_target[s->reason] || (s->lane == LANE_EXEC && !l->driver))
        return false; /* another program's requests do not wait for chaosd */
    int64_t due = s->planned_ns + l->deadline_ns;
    if (s->outcome == OUTCOME_UNSENT_CAP) /* full, maybe as chaosd had not looked at what was answered */
        return stalled_between(w, s->planned_ns, s->planned_ns);
    return stalled_between(w, s->planned_ns, own_until(s)) || stalled_between(w, due < s->end_ns ? due : s->end_ns, s->end_ns);
}

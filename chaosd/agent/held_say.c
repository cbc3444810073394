/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a fault in its object's status, and what was counted of it. */
#include "agent/agent_priv.h"

#include "base/clock.h"

#include "netem.h"

#include <stdio.h>
#include <string.h>

void held_say(struct held *h, enum node_fault_phase phase, const char *reason, const char *message) {
    struct node_fault_status *s = &h->said;
    const char *text = message ? message : h->standing;
    s->phase = phase;
    s->proof = h->proof;
    s->figures = h->figures;
    s->agent_version = CHAOSD_VERSION;
    s->reason = reason;
    s->message = text; /* also "": a patch that has none would leave the last one */
    agent_log(h, "%s%s%s%s%s", node_fault_phase_names[phase], reason ? ": " : "", reason ? reason : "", *text ? ": " : "", text);
    if (h->report)
        report_say(h->report, s);
}

/* Each event of the object comes here again, also those that our status makes. */
void held_stands(struct held *h, const char *message) {
    char text[sizeof h->standing];
    snprintf(text, sizeof text, "%s", message ? message : "");
    if (strcmp(text, h->standing) == 0)
        return;
    memcpy(h->standing, text, sizeof text);
    held_say(h, h->said.phase, NULL, NULL);
}

void held_not_taken(struct held *h, const char *what, const char *why) {
    char text[sizeof h->standing];
    snprintf(text, sizeof text, "%s: %s", what, why);
    held_stands(h, text);
}

int64_t held_wall_at(int64_t boot_ns) { return clock_wall_ns() + (boot_ns - clock_boot_ns()); }

/* What the classifier saw is known only while its filters stand; what it took, until the end. */
void held_count(struct held *h, const struct netem_state *s) {
    if (s->known)
        h->said.seen = (int64_t)(s->out.seen + s->in.seen);
}

void held_count_figures(struct held *h) {
    const json_t *packets = json_object_get(h->figures, "packets"), *bytes = json_object_get(h->figures, "bytes");
    h->said.counted = json_is_integer(packets) && json_is_integer(bytes);
    h->said.packets = json_integer_value(packets);
    h->said.bytes = json_integer_value(bytes);
    if (h->said.seen < h->said.packets)
        h->said.seen = h->said.packets;
}

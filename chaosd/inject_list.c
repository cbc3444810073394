/* SPDX-License-Identifier: Apache-2.0 */
/* What of ours stands on this machine, and what of others beside it: from the kernel alone. */
#include "inject.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const acts[NETEM_ACT_COUNT] = {[NETEM_SHAPE] = "netem", [NETEM_DROP] = "drop", [NETEM_PASS] = "pass"};
static const char *const ways[] = {"", "to", "from", "both"};

static void percent(struct buf *b, const char *what, uint32_t ppm) {
    if (ppm)
        buf_printf(b, ", %s %g%%", what, ppm / 1e4);
}

/* What its queue does, as the kernel says. */
static void describe(const struct netem_state *s, struct buf *b) {
    const struct netem_params *p = &s->params;
    char text[32];
    buf_str(b, acts[s->act]);
    if (s->act != NETEM_SHAPE)
        return;
    format_duration(p->delay_ns, text, sizeof text);
    if (p->delay_ns)
        buf_printf(b, " %s", text);
    format_duration(p->jitter_ns, text, sizeof text);
    if (p->jitter_ns)
        buf_printf(b, " \u00b1 %s", text);
    percent(b, "loss", p->loss_ppm);
    percent(b, "duplicate", p->duplicate_ppm);
    percent(b, "corrupt", p->corrupt_ppm);
    percent(b, "reorder", p->reorder_ppm);
    if (p->rate_bps)
        buf_printf(b, ", %g Mbit/s", (double)p->rate_bps * 8 / 1e6);
}

static json_t *state_json(const struct netns *ns, const struct netem_state *s) {
    cleanup_buf struct buf does = {0};
    describe(s, &does);
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "where", ns->said, "netns", ns->path, "device", s->dev, "run", s->run, "direction", ways[s->directions & 3], "does",
                          buf_ok(&does) ? does.data : "");
    json_object_set_new(o, "left_ms", s->known ? json_real((double)s->left_ns / 1e6) : json_null());
    json_object_set_new(o, "packets", s->known ? json_integer((json_int_t)(s->out.packets + s->in.packets)) : json_null());
    json_object_set_new(o, "bytes", s->known ? json_integer((json_int_t)(s->out.bytes + s->in.bytes)) : json_null());
    json_object_set_new(o, "dropped", s->has_queue ? json_integer((json_int_t)s->queue_dropped) : json_null());
    json_object_set_new(o, "queued", s->has_queue ? json_integer(s->queued) : json_null());
    json_object_set_new(o, "broken", *s->broken ? json_string(s->broken) : json_null());
    return o;
}

static void state_text(const struct netns *ns, const struct netem_state *s) {
    cleanup_buf struct buf does = {0};
    char left[32] = "?";
    describe(s, &does);
    if (s->known)
        format_duration(s->left_ns / NS_PER_MS * NS_PER_MS, left, sizeof left);
    printf("%-16s %-12s %-44s %s %s", ns->said, *s->dev ? s->dev : "-", s->run, ways[s->directions & 3], buf_ok(&does) ? does.data : "");
    if (s->known && s->left_ns > 0)
        printf(", %s left", left);
    else
        printf(s->known ? ", over" : ", what is left of one that is over");
    if (s->known)
        printf(", %" PRIu64 " packets, %" PRIu64 " bytes", s->out.packets + s->in.packets, s->out.bytes + s->in.bytes);
    if (s->has_queue)
        printf(", %" PRIu64 " dropped, %" PRIu32 " on their way", s->queue_dropped, s->queued);
    printf("%s%s\n", *s->broken ? "; " : "", s->broken);
}

static json_t *other_json(const struct netns *ns, const struct netem_other *o) {
    json_t *j = json_pack("{s:s,s:s,s:s,s:s}", "where", ns->said, "netns", ns->path, "device", o->dev, "foreign", o->kind);
    if (o->filter) {
        json_object_set_new(j, "direction", json_string(ways[o->direction]));
        json_object_set_new(j, "priority", json_integer(o->priority));
    }
    return j;
}

static void other_text(const struct netns *ns, const struct netem_other *o) {
    printf("%-16s %-12s foreign: ", ns->said, o->dev);
    if (o->filter)
        printf("a %s filter of another's for packets %s, priority %u\n", o->kind, o->direction == NETEM_IN ? "coming in" : "going out", o->priority);
    else
        printf("a netem root queue of another's\n");
}

struct listing { bool json; json_t *list; size_t ours; };

static int list_one(const struct netns *at, struct listing *l, char *why) {
    struct netem_ns *ns = NULL;
    cleanup_free struct netem_state *states = NULL;
    cleanup_free struct netem_other *others = NULL;
    int n = 0, m = 0, rc = netem_ns_open(NULL, netns_to_open(at->path), &ns, why);
    if (rc == 0 && (rc = n = netem_list(ns, NULL, &states, why)) >= 0)
        rc = m = netem_others(ns, &others, why);
    netem_ns_close(ns);
    for (int i = 0; rc >= 0 && i < n; i++, l->ours++)
        if (l->json)
            json_array_append_new(l->list, state_json(at, &states[i]));
        else
            state_text(at, &states[i]);
    for (int i = 0; rc >= 0 && i < m; i++)
        if (l->json)
            json_array_append_new(l->list, other_json(at, &others[i]));
        else
            other_text(at, &others[i]);
    return rc < 0 ? rc : 0;
}

int inject_list(bool json, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    cleanup_free struct netns *all = NULL;
    cleanup_json json_t *list = json_array();
    struct listing l = {.json = json, .list = list};
    int n = netns_all(&all, err), rc = n < 0 ? n : 0;
    for (int i = 0; i < n && rc == 0; i++) {
        rc = list_one(&all[i], &l, why);
        if (rc == -ENOENT) /* went meanwhile */
            rc = 0;
    }
    if (n >= 0 && rc < 0)
        return error_set(err, rc == -EPERM ? -EACCES : rc, "%s", why);
    if (n < 0)
        return n;
    if (json) {
        json_dumpf(list, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (!l.ours) {
        printf("no fault of ours stands on this machine\n");
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The steady state: what was selected is whole before each act and after the last, or is waited for, within a limit. */
#include "base/buf.h"
#include "base/json.h"
#include "base/units.h"
#include "run_internal.h"

#include <inttypes.h>
#include <string.h>

/* NULL: nothing is waited for. A test bench's pods are down for reasons of their own, so that there it must be asked for. */
static const struct steady_guard *guard(const struct run *r) {
    const struct steady_guard *g = r->s->guards->steady;
    bool on = r->s->guards->steady_given || (r->cluster && r->cluster->kind->abilities & CLUSTER_OBJECTS);
    return r->cluster && on && g->timeout_ns ? g : NULL;
}

/* A cluster tells of what an act did only after a while: until then, and until its end was seen, all merely looks whole. */
static bool is_whole(struct run *r, const struct steady_guard *g, struct buf *why) {
    for (const struct act *a = r->acts; a; a = a->next)
        if (a->uid && a->injected_ns && acts_busy(r, a->uid, ACTS_TAKING)) {
            buf_printf(why, "%s on %s is not over", a->spec->name, a->target);
            return false;
        }
    if (guard_sees(r, "pods", why) <= 0 || !pods_all_ready(r, why)) /* what is not followed may be anything */
        return false;
    if (r->s->guards->budgets != BUDGETS_IGNORE && guard_sees(r, "budgets", why) == 0) /* a guard would refuse; one never seen refuses in any case */
        return false;
    bool calm = !r->calm_since_ns || loop_now() - r->calm_since_ns >= g->interval_ns;
    if (!calm)
        buf_str(why, "a fault has only just ended");
    return calm;
}

static void tell(struct run *r, const char *phase, const struct plan_act *p, const char *why, int64_t took_ns) {
    json_t *data = json_pack("{s:s,s:s*}", "when", p ? "before" : "end", "why", why && *why ? why : NULL);
    if (p && !strcmp(phase, "ok") && acts_hold(r))
        json_object_set_new(data, "held", json_true());
    if (p) {
        json_object_set_new(data, "fault", json_string(SCENARIO_FAULTS(r->s)[p->fault].name));
        json_object_set_new(data, "occurrence", json_integer(p->occurrence));
    }
    if (took_ns >= 0)
        json_object_set_new(data, "took_ns", json_integer(took_ns));
    recorder_event(r->rec, "run", "run/steady", phase, NULL, NULL, data);
}

/* Of the wait that is on; ends it. */
static void end_wait(struct run *r, const char *phase, const char *why) {
    tell(r, phase, r->steady.act, why, loop_now() - r->steady.since);
    r->steady.since = 0;
    timer_stop(r->steady.timer);
}

static void give_up(struct run *r, const struct steady_guard *g, const char *why) {
    char limit[32], text[sizeof ((struct error *)0)->text];
    format_duration(g->timeout_ns, limit, sizeof limit);
    bool before = r->steady.act;
    snprintf(text, sizeof text, "not steady within %s: %s", limit, why);
    end_wait(r, "fail", text);
    if (before)
        run_abort(r, text);
}

/* Whether all is whole; else a wait is on, and goes on. */
static bool reached(struct run *r, const struct steady_guard *g, const struct plan_act *p) {
    cleanup_buf struct buf why = {0};
    const int64_t now = loop_now();
    if (is_whole(r, g, &why)) {
        if (r->steady.since)
            end_wait(r, "ok", NULL);
        return true;
    }
    const char *text = buf_ok(&why) && why.len ? why.data : "not every pod is ready";
    if (!r->steady.since) {
        r->steady.since = now;
        r->steady.act = p;
        tell(r, "invoke", p, text, -1);
    } else if (now - r->steady.since >= g->timeout_ns) {
        give_up(r, g, text);
        return false;
    }
    int64_t last = r->steady.since + g->timeout_ns, calm = r->calm_since_ns ? r->calm_since_ns + g->interval_ns : 0;
    int64_t next = calm > now ? calm : now + g->interval_ns;
    timer_at(r->steady.timer, next < last ? next : last);
    return false;
}

/* Acts of one moment belong together: none of them waits for what another has done. Nor does any while one is held: what that keeps down is
 * down on purpose, a cluster cannot tell it from what is not, and the plan has both at once. The guards judge what is left. */
bool steady_before(struct run *r, const struct plan_act *p) {
    const struct steady_guard *g = guard(r);
    if (!g || (r->next_act && p->at_ns == r->o->plan->acts[r->next_act - 1].at_ns))
        return true;
    if (!acts_hold(r))
        return reached(r, g, p);
    if (r->steady.since)
        end_wait(r, "ok", NULL);
    else
        tell(r, "ok", p, NULL, 0);
    return true;
}

bool steady_after(struct run *r) {
    const struct steady_guard *g = guard(r);
    if (!g || r->steady.over)
        return true;
    bool first = !r->steady.since, whole = reached(r, g, NULL);
    if (whole && first)
        tell(r, "ok", NULL, NULL, 0);
    r->steady.over = whole || !r->steady.since;
    return r->steady.over;
}

static void on_timer(void *arg) {
    struct run *r = arg;
    if (r->phase == PHASE_RUNNING)
        acts_due(r);
    else
        run_step(r);
}

int steady_start(struct run *r, struct error *err) { return timer_new(r->loop, on_timer, r, &r->steady.timer, err); }

void steady_event(struct run *r) {
    if (r->steady.since)
        timer_after(r->steady.timer, 0); /* from a clean stack: acts may be freed */
}

void steady_stop(struct run *r, bool aborted) {
    const struct plan *plan = r->o->plan;
    if (!r->steady.since)
        return;
    end_wait(r, "unknown", aborted ? "the run was aborted" : "the schedule ended first");
    while (!aborted && r->next_act < plan->count && r->schedule_mono + plan->acts[r->next_act].at_ns <= loop_now())
        act_skip(r, &plan->acts[r->next_act++], "", "steady", "the schedule ended while it waited for the steady state");
}

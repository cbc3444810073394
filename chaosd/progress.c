/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"
#include "base/buf.h"
#include "base/harmful.h"
#include "base/json.h"
#include "base/redact.h"
#include "base/utf8.h"

#include <string.h>

void progress_print_safe(FILE *f, const char *text) {
    while (*text) {
        size_t bad = *text == '\n' || *text == '\t' ? 0 : harmful(text), n = bad ? bad : utf8_decode(text, UTF8_MOST, NULL);
        if (bad)
            fputc('?', f);
        else
            fwrite(text, 1, n, f);
        text += n;
    }
}

static double ms(const json_t *data, const char *to, const char *from) {
    return (double)(json_int_or(data, to, 0) - json_int_or(data, from, 0)) / 1e6;
}

static bool say_act(struct buf *b, const char *phase, const char *kind, const char *target, const json_t *d) {
    const char *fault = json_str_or(d, "fault", "");
    if (strcmp(kind, "skip") == 0) {
        buf_printf(b, "%s #%lld skipped: %s", fault, (long long)json_int_or(d, "occurrence", 0), json_str_or(d, "why", ""));
    } else if (strcmp(phase, "invoke") == 0) {
        buf_printf(b, "%s #%lld: %s %s", fault, (long long)json_int_or(d, "occurrence", 0), kind, target);
        if (json_object_get(d, "for_ns"))
            buf_printf(b, " for %.3g s", (double)json_int_or(d, "for_ns", 0) / 1e9);
        const char *role = json_str_or(d, "role", NULL);
        if (role)
            buf_printf(b, ", %s by its own answer %.1f ms before", role, ms(d, "at", "role_seen"));
    } else if (strcmp(phase, "fail") == 0) {
        buf_printf(b, "%s: %s %s failed: %s", fault, kind, target, json_str_or(d, "why", ""));
    } else if (strcmp(phase, "unknown") == 0) {
        buf_printf(b, "%s on %s may have been carried out, unseen: %s", kind, target, json_str_or(d, "why", ""));
    } else {
        return false;
    }
    return true;
}

static bool say_packets(struct buf *b, const json_t *d) {
    long long packets = json_int_or(d, "packets", -1);
    if (packets >= 0)
        buf_printf(b, ", %lld packet%s hit", packets, packets == 1 ? "" : "s");
    return packets >= 0;
}

/* Of network faults, whose effect no pod tells; and of all, what went wrong. */
static bool say_fault(struct buf *b, const char *op, const char *phase, const char *kind, const char *target, const json_t *d) {
    if (strcmp(op, "fault/trouble") == 0) {
        buf_printf(b, "%s on %s is not in effect as asked: %s", kind, target, json_str_or(d, "why", ""));
        return true;
    }
    if (strcmp(op, "fault/measured") == 0 && json_object_get(d, "rtt_ns") && json_object_get(d, "rtt_after_ns")) {
        buf_printf(b, "%s on %s measured: round trips %+.3g ms", kind, target, ms(d, "rtt_ns", "rtt_after_ns"));
        return true;
    }
    if (strcmp(op, "fault/revert") == 0 && strcmp(phase, "fail") == 0) {
        buf_printf(b, "%s on %s is NOT REVERTED: %s", kind, target, json_str_or(d, "why", ""));
        return true;
    }
    bool over = strcmp(op, "fault/revert") == 0 && strcmp(phase, "ok") == 0;
    if (!over && strcmp(op, "fault/observed") != 0)
        return false;
    buf_printf(b, "%s on %s is %s", kind, target, over ? "over" : "in effect");
    return say_packets(b, d);
}

static bool say_role(struct buf *b, const char *kind, const char *target, const json_t *d) {
    if (*target)
        buf_printf(b, "%s is %s", kind, target);
    else
        buf_printf(b, "%s is nobody", kind);
    const char *key;
    json_t *value;
    char tmp[64];
    json_object_foreach (json_object_get(d, "data"), key, value) {
        const char *text = json_text(value, tmp, sizeof tmp);
        if (text && strlen(text) < 16)
            buf_printf(b, ", %s %s", key, text);
    }
    return true;
}

static bool say_probe(struct buf *b, const char *target, const json_t *d) {
    const char *who = *target ? target : json_str_or(d, "pod", "");
    bool ok = json_is_true(json_object_get(d, "ok"));
    buf_printf(b, "probe %s%s%s: %s", json_str_or(d, "probe", ""), *who ? " on " : "", who, ok ? "right" : "WRONG");
    const char *more = json_str_or(d, ok ? "value" : "why", "");
    if (*more)
        buf_printf(b, ": %.60s", more);
    return true;
}

static bool say_pod(struct buf *b, const char *kind, const char *target, const json_t *d) {
    static const char *const told[] = {"exited", "ready", "unready", "frozen", "thawed", "failed", NULL};
    bool tell = false;
    for (size_t i = 0; told[i]; i++)
        tell |= strcmp(kind, told[i]) == 0;
    if (!tell)
        return false;
    buf_printf(b, "%s %s", target, kind);
    if (json_object_get(d, "signal"))
        buf_printf(b, " by signal %lld", (long long)json_int_or(d, "signal", 0));
    else if (json_object_get(d, "code"))
        buf_printf(b, " with status %lld", (long long)json_int_or(d, "code", 0));
    const char *why = json_str_or(d, "why", NULL);
    if (why)
        buf_printf(b, ": %s", why);
    return true;
}

static bool say_ledger(struct buf *b, const char *phase, const char *target, const json_t *d) {
    if (strcmp(phase, "ok") != 0)
        return false;
    bool end = strcmp(json_str_or(d, "when", ""), "end") == 0;
    long long asked = json_int_or(d, "asked", 0), lost = json_int_or(d, "lost", 0), unknown = json_int_or(d, "unknown", 0);
    buf_printf(b, "ledger of %s, %s: %lld of %lld acknowledged writes %s", target, end ? "at the end" : "after the recovery", lost, asked,
               end ? "lost" : "not there");
    if (unknown)
        buf_printf(b, ", %lld without an answer", unknown);
    return true;
}

static bool say_steady(struct buf *b, const char *phase, const json_t *d) {
    const char *fault = json_str_or(d, "fault", NULL), *why = json_str_or(d, "why", "");
    if (strcmp(phase, "invoke") == 0)
        buf_printf(b, "%s waits for the steady state: %s", fault ? fault : "the end", why);
    else if (strcmp(phase, "ok") == 0 && json_int_or(d, "took_ns", 0))
        buf_printf(b, "steady after %.1f s", (double)json_int_or(d, "took_ns", 0) / 1e9);
    else if (strcmp(phase, "fail") == 0)
        buf_str(b, why);
    else
        return false;
    return true;
}

static bool say_run(struct buf *b, const char *op, const char *phase, const json_t *d) {
    const char *why = json_str_or(d, "why", "");
    if (strcmp(op, "run/ready") == 0 && strcmp(phase, "invoke") == 0)
        buf_str(b, "waiting until every pod is ready");
    else if (strcmp(op, "run/ready") == 0 && strcmp(phase, "fail") == 0)
        buf_printf(b, "%s", why);
    else if (strcmp(op, "run/schedule") == 0)
        buf_str(b, "load and schedule start");
    else if (strcmp(op, "run/steady") == 0)
        return say_steady(b, phase, d);
    else if (strcmp(op, "run/skip") == 0)
        buf_printf(b, "skipped: %s", why);
    else if (strcmp(op, "run/abort") == 0)
        buf_printf(b, "aborted: %s; reverting%s", why,
                   strcmp(why, "SIGINT") ? "" : ", then waiting for the last answers (Ctrl-C again: not waiting)");
    else if (strcmp(op, "run/loads-end") == 0)
        buf_str(b, "load ends");
    else if (strcmp(op, "self/stall") == 0)
        buf_printf(b, "chaosd itself stalled for %.0f ms", ms(d, "to", "from"));
    else
        return false;
    return true;
}

static bool say_exit(struct buf *b, const char *target, const json_t *d) {
    const char *why = json_str_or(d, "why", NULL);
    if (why)
        buf_printf(b, "%s could not be started: %s", target, why);
    else
        buf_printf(b, "%s %s with %s %lld", target, json_is_true(json_object_get(d, "killed")) ? "was killed, and ended" : "ended",
                   json_object_get(d, "signal") ? "signal" : "status",
                   (long long)json_int_or(d, json_object_get(d, "signal") ? "signal" : "code", 0));
    return true;
}

bool progress_say(const json_t *e, struct buf *line) {
    const char *op = json_str_or(e, "op", ""), *phase = json_str_or(e, "phase", ""), *kind = json_str_or(e, "kind", "");
    const char *target = json_str_or(e, "target", "");
    const json_t *d = json_object_get(e, "data");
    if (strcmp(op, "fault/act") == 0)
        return say_act(line, phase, kind, target, d);
    if (strncmp(op, "fault/", 6) == 0)
        return say_fault(line, op, phase, kind, target, d);
    if (strcmp(op, "role/now") == 0)
        return say_role(line, kind, target, d);
    if (strcmp(op, "probe/answer") == 0)
        return say_probe(line, target, d);
    if (strcmp(op, "cluster/pod") == 0)
        return say_pod(line, kind, target, d);
    if (strcmp(op, "load/exit") == 0)
        return say_exit(line, target, d);
    if (strcmp(op, "ledger/read") == 0)
        return say_ledger(line, phase, target, d);
    return say_run(line, op, phase, d);
}

void progress_event(const json_t *e, void *arg) {
    struct progress *p = arg;
    if (p->quiet)
        return;
    long long t = json_int_or(e, "t", 0);
    struct buf line = {0};
    if (strcmp(json_str_or(e, "op", ""), "run/schedule") == 0) {
        p->schedule_t = t;
        p->scheduled = true;
    }
    if (progress_say(e, &line) && buf_ok(&line)) {
        if (p->scheduled)
            fprintf(p->out, "%8.3f  ", (double)(t - p->schedule_t) / 1e9);
        else
            fprintf(p->out, "%8s  ", "-");
        progress_print_safe(p->out, redact(line.data));
        fputc('\n', p->out);
        fflush(p->out);
    }
    buf_free(&line);
}

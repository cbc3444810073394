/* SPDX-License-Identifier: Apache-2.0 */
/* The driver load: planned arrivals, each a line to a program, with a deadline and one sample, whatever the program does. */
#include "load/driver_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const struct load_kind load_driver;

static struct driver_run *run_of(struct load *l) { return (struct driver_run *)(void *)l; }

/* --- lines under way --- */

static struct op_list *list_of(struct driver_run *l, const struct op *o) { return o->told ? &l->reads : &l->writes; }

static void arm_deadlines(struct driver_run *l) {
    const struct op *a = l->writes.first, *b = l->reads.first;
    if (a || b)
        timer_at(l->deadlines, !b || (a && a->until_ns < b->until_ns) ? a->until_ns : b->until_ns);
    else
        timer_stop(l->deadlines);
}

struct op *driver_op(struct driver_run *l, uint64_t id) {
    struct op *o = &l->ops[id % l->op_count];
    return o->id == id ? o : NULL;
}

static struct op *op_get(struct driver_run *l) {
    struct op *o = l->free_ops;
    if (!o)
        return NULL;
    l->free_ops = o->next;
    *o = (struct op){.id = ++l->op_seq * l->op_count + (size_t)(o - l->ops)}; /* names its place, and is never used again */
    return o;
}

static void op_free(struct driver_run *l, struct op *o) {
    *o = (struct op){.next = l->free_ops};
    l->free_ops = o;
}

/* Of one kind all wait equally long, so the order of sending is the order of giving up; a late arrival is put before its elders. */
static void op_wait(struct driver_run *l, struct op *o) {
    struct op_list *list = list_of(l, o);
    struct op *after = list->last;
    while (after && after->until_ns > o->until_ns)
        after = after->prev;
    o->prev = after;
    o->next = after ? after->next : list->first;
    *(o->next ? &o->next->prev : &list->last) = o;
    *(after ? &after->next : &list->first) = o;
    if (list->first == o)
        arm_deadlines(l);
}

static void op_done(struct driver_run *l, struct op *o) {
    struct op_list *list = list_of(l, o);
    *(o->prev ? &o->prev->next : &list->first) = o->next;
    *(o->next ? &o->next->prev : &list->last) = o->prev;
    op_free(l, o);
}

struct op *driver_oldest(struct driver_run *l, const struct worker *w) {
    struct op *a = l->writes.first, *b = l->reads.first;
    while (a && a->worker != w)
        a = a->next;
    while (b && b->worker != w)
        b = b->next;
    return !b || (a && a->sent_ns < b->sent_ns) ? a : b;
}

void driver_finish(struct driver_run *l, struct op *o, enum reason reason, size_t bytes) {
    const struct op was = *o;
    struct sample s = open_loop_sample(&l->open, &was.a, SAMPLE_NO_TARGET);
    s.bytes = (uint32_t)bytes;
    s.steps = bytes > 0;
    s.flags = SAMPLE_SENT; /* into the program's pipe: more of it is not known */
    op_done(l, o);
    open_loop_finish(&l->open, &was.a, &s, reason, was.sent_ns, loop_now());
}

void driver_end_read(struct driver_run *l, struct op *o, enum ledger_answer answer, const char *why) {
    const struct op was = *o;
    op_done(l, o);
    was.told(answer, why, ledger_entry(l->keys, was.a.index), was.told_arg);
}

static void give_up(struct driver_run *l, struct op *o, enum reason reason, const char *why) {
    if (o->told)
        driver_end_read(l, o, LEDGER_UNKNOWN, why);
    else
        driver_finish(l, o, reason, 0);
}

void driver_give_up(struct driver_run *l, const struct worker *w, enum reason reason, const char *why) {
    for (size_t i = 0; i < l->op_count; i++)
        if (l->ops[i].id && l->ops[i].worker == w)
            give_up(l, &l->ops[i], reason, why);
}

static void on_deadline(void *arg) {
    struct driver_run *l = arg;
    struct op_list *const lists[] = {&l->writes, &l->reads};
    workers_drain(l); /* what was answered is heard before anything is given up */
    int64_t now = loop_now();
    for (size_t i = 0; i < 2; i++)
        while (lists[i]->first && lists[i]->first->until_ns <= now)
            give_up(l, lists[i]->first, REASON_TIMEOUT, "timeout");
    arm_deadlines(l);
}

/* --- arrivals --- */

static int send_op(struct driver_run *l, struct op *o) {
    char line[256], key[LEDGER_TEXT], value[LEDGER_TEXT];
    uint32_t entry = ledger_entry(l->keys, o->a.index);
    int n;
    ledger_key(l->keys, entry, key);
    ledger_value(l->keys, entry, value);
    if (o->told)
        n = snprintf(line, sizeof line, "{\"id\":%" PRIu64 ",\"op\":\"read\",\"key\":\"%s\"}", o->id, key);
    else
        n = snprintf(line, sizeof line, "{\"id\":%" PRIu64 ",\"op\":\"write\",\"key\":\"%s\",\"value\":\"%s\"}", o->id, key, value);
    int rc = worker_send(o->worker, line, (size_t)n);
    if (rc == 0)
        op_wait(l, o);
    return rc;
}

static int64_t share(const struct driver_run *l) { return (l->p->concurrency + l->p->workers - 1) / l->p->workers; }

/* No program runs, or its input is gone: what its users would call a dead service. */
static void turn_away(struct driver_run *l, const struct arrival *a, enum reason reason) {
    struct sample s = open_loop_sample(&l->open, a, SAMPLE_NO_TARGET);
    open_loop_finish(&l->open, a, &s, reason, 0, loop_now());
}

static void send_request(struct open_loop *open, const struct arrival *a) {
    struct driver_run *l = (struct driver_run *)(void *)open;
    struct load_target target;
    if (!open_loop_admit(open, a, NULL, false, &target))
        return;
    if (!workers_up(l)) {
        turn_away(l, a, REASON_NO_TARGET);
        return;
    }
    struct worker *w = workers_pick(l, share(l));
    struct op *o = w ? op_get(l) : NULL;
    if (!o) {
        open_loop_full(open, a, target.id);
        return;
    }
    o->worker = w;
    o->a = *a;
    o->sent_ns = loop_now();
    o->until_ns = a->planned_ns + l->p->deadline_ns;
    int rc = send_op(l, o);
    if (rc == 0)
        return;
    op_free(l, o); /* its pipe is full, or nobody reads it any more */
    if (rc == -EAGAIN)
        open_loop_full(open, a, target.id);
    else if (rc == -EPIPE)
        turn_away(l, a, REASON_RESET);
    else
        open_loop_give_up(open, a, target.id);
}

/* --- the load --- */

static void begin(struct load *load, int64_t start_mono_ns, int64_t end_mono_ns) {
    struct driver_run *l = run_of(load);
    if (!l->greeted)
        workers_greet(l);
    open_loop_begin(load, start_mono_ns, end_mono_ns);
}

static int read_entry(struct load *load, uint32_t entry, ledger_done *done, void *arg) {
    struct driver_run *l = run_of(load);
    const struct ledger_spec *spec = ledger_spec(l->keys);
    struct worker *w = workers_pick(l, share(l) + spec->concurrency);
    struct op *o = w ? op_get(l) : NULL;
    if (!o)
        return -EAGAIN;
    o->worker = w;
    o->a = (struct arrival){.index = (uint64_t)entry - 1};
    o->sent_ns = loop_now();
    o->until_ns = o->sent_ns + spec->timeout_ns;
    o->told = done;
    o->told_arg = arg;
    int rc = send_op(l, o);
    if (rc < 0)
        op_free(l, o);
    return rc;
}

static void run_free(struct load *load) {
    struct driver_run *l = run_of(load);
    if (!l)
        return;
    workers_stop(l);
    timer_free(l->deadlines);
    if (l->keys != l->open.load.ledger)
        ledger_free(l->keys);
    open_loop_free(&l->open);
    free(l->ops);
    free(l);
}

static int make_ops(struct driver_run *l, struct error *err) {
    static const struct ledger_spec none = {0};
    const struct ledger_spec *spec = l->p->ledger ? &l->p->ledger->limits : &none;
    int rc = ledger_new(spec, &l->open.ctx, &l->keys, err);
    if (rc < 0)
        return rc;
    l->open.load.ledger = l->p->ledger ? l->keys : NULL;
    l->op_count = (size_t)(l->p->concurrency + spec->concurrency);
    l->ops = calloc(l->op_count, sizeof *l->ops);
    for (size_t i = 0; l->ops && i < l->op_count; i++)
        op_free(l, &l->ops[i]);
    return l->ops ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int run_new(const struct load_spec *spec, const struct load_context *ctx, struct load **ret, struct error *err) {
    static const int lane = LANE_EXEC;
    struct driver_run *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, -ENOMEM, "out of memory");
    const struct driver_load *p = l->p = spec->kind.params;
    const struct open_loop_plan plan = {
        .rate = p->rate, .arrival = (enum arrival_kind)p->arrival, .lanes = {&lane, 1}, .deadline_ns = p->deadline_ns, .late_ns = p->late_ns,
        .concurrency = p->concurrency,
    };
    l->name = spec->name;
    l->log_fd = -1;
    int rc = open_loop_init(&l->open, &load_driver, spec, ctx, &plan, send_request, err);
    if (rc < 0) {
        free(l);
        return rc;
    }
    rc = make_ops(l, err);
    if (rc == 0)
        rc = timer_new(ctx->loop, on_deadline, l, &l->deadlines, err);
    if (rc == 0)
        rc = workers_prepare(l, err);
    if (rc == 0)
        rc = workers_start(l, err);
    if (rc < 0) {
        run_free(&l->open.load);
        return rc;
    }
    *ret = &l->open.load;
    return 0;
}

const struct load_kind load_driver = {
    .row = {"driver", &driver_load_shape, "A program of yours that serves requests line by line."},
    .new = run_new,
    .begin = begin,
    .stop = open_loop_stop,
    .figures = open_loop_figures,
    .describe = driver_describe,
    .read = read_entry,
    .free = run_free,
};

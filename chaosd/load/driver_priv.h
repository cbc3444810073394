/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The driver load, in three files: driver_rows.c (what a scenario says), driver.c (arrivals, requests, life), driver_worker.c (the
 * user's programs and their lines). */
#include "io/child.h"
#include "io/lines.h"
#include "load/ledger.h"
#include "load/open_loop.h"

enum { DRIVER_LINE_MOST = 65536 };

struct driver_ledger { struct ledger_spec limits; };
struct driver_load {
    struct templates command;
    struct template_pairs env, files;
    int64_t rate; /* events a second * 10^6 */
    int arrival;  /* enum arrival_kind */
    int64_t workers, deadline_ns, concurrency, late_ns;
    struct driver_ledger *ledger; /* NULL: none is kept */
};
extern const struct shape driver_load_shape;
json_t *driver_describe(const struct load_spec *spec);

struct worker { /* one process of the user's program */
    struct driver_run *run;
    unsigned index;
    struct child *child; /* NULL: none runs */
    struct line_reader *reader;
    struct line_writer *writer;
    struct timer *again;   /* starts it anew, or ends one without an output */
    int64_t owed;          /* lines it was sent and has not answered, also those given up */
    int64_t started_ns, delay_ns;
    bool unruly;           /* killed for closing its output */
};

struct op { /* a line under way */
    uint64_t id;          /* 0: free */
    struct worker *worker;
    struct arrival a;     /* of a read: index of the request that wrote it */
    int64_t sent_ns, until_ns; /* CLOCK_MONOTONIC */
    ledger_done *told;    /* a read; NULL: a write, which leaves a sample */
    void *told_arg;
    struct op *prev, *next; /* by until_ns; or the free ones by next */
};
struct op_list { struct op *first, *last; };

struct driver_run {
    struct open_loop open; /* first */
    const struct driver_load *p;
    const char *name;
    struct ledger *keys; /* the load's own ledger, or one that is only asked for keys and values */
    struct timer *deadlines;
    bool greeted;
    struct worker *workers;
    int64_t turn; /* of equals, each in turn */
    struct op *ops;
    size_t op_count;
    struct op *free_ops;
    struct op_list writes, reads;
    uint64_t op_seq;
    unsigned noise;
    char **argv, **envp, *cwd;
    int log_fd;
};

/* driver.c */
struct op *driver_op(struct driver_run *l, uint64_t id); /* under way with that id, or NULL */
struct op *driver_oldest(struct driver_run *l, const struct worker *w);
void driver_finish(struct driver_run *l, struct op *o, enum reason reason, size_t bytes); /* a write */
void driver_end_read(struct driver_run *l, struct op *o, enum ledger_answer answer, const char *why);
void driver_give_up(struct driver_run *l, const struct worker *w, enum reason reason, const char *why); /* all that w owes */

/* driver_worker.c */
int workers_prepare(struct driver_run *l, struct error *err); /* program, environment, files, log */
int workers_start(struct driver_run *l, struct error *err);
void workers_greet(struct driver_run *l);
struct worker *workers_pick(struct driver_run *l, int64_t most); /* the one that owes least, and less than most, equals in turn; NULL: none */
bool workers_up(const struct driver_run *l);
void workers_drain(struct driver_run *l);
int worker_send(struct worker *w, const char *line, size_t len);
void workers_stop(struct driver_run *l); /* asks them to end, then ends them; bounded. Frees all that prepare and start made */

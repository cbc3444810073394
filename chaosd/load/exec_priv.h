/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The exec load, in five files: exec_rows.c (what a scenario says), exec.c (its life), exec_start.c (its folder, files, environment and
 * process), exec_output.c (its pipes, logs and samples), exec_place.c (that nothing of it stays). */
#include "base/buf.h"
#include "io/child.h"
#include "io/lines.h"
#include "load/external.h"
#include "load/load.h"
#include "load/wallclock.h"

/* --- what a scenario says --- */

struct exec_load {
    struct templates command;
    struct template_pairs env, files;
    struct strings needs;
    int samples; /* enum external_format */
    const struct template *from; /* NULL: stdout */
    const char *ready;           /* NULL: the schedule does not wait for it */
    int64_t deadline_ns;         /* 0: the program's own word */
    int64_t finish_ns, stop_timeout_ns, pass_status, fail_status; /* fail_status 0: none */
};
extern const struct shape exec_load_shape;
json_t *exec_load_describe(const struct load_spec *spec);
int exec_load_preflight(const struct load_spec *spec, struct error *err);

/* --- where it runs, so that nothing of it stays --- */

struct exec_place {
    int cgroup_fd;   /* a group of its own; -1: none (no cluster, which has one to lend) */
    char mark[64];   /* "CHAOSD_LOAD=...": stands in the environment of all that the program starts */
};
int exec_place_open(struct exec_place *p, const struct load_context *ctx, struct error *err);
/* SIGKILL to all of it, however it detached itself, until nothing is left; bounded. Returns how many were left alive before. */
size_t exec_place_sweep(const struct exec_place *p);
void exec_place_close(struct exec_place *p);

/* --- a load that runs --- */

struct exec_output { /* stdout or stderr, into a log */
    struct exec_run *run;
    struct line_reader *reader; /* NULL: read to its end */
    FILE *log;
    int64_t logged; /* bytes */
    bool cut;
};

struct exec_target { char *name; uint16_t id; };

struct exec_run {
    struct load load; /* first */
    const char *name;
    const struct exec_load *p;
    struct load_context ctx;
    char *dir, *report; /* its folder; the file its samples come from, NULL: stdout */
    char seconds[32];   /* ${load.seconds} */
    struct exec_place place;
    struct child *child;
    struct timer *start_timer, *timer, *note; /* its start, what is next in its life, the wall clock */
    int64_t to_ns, ask_at_ns;                 /* of the load's time, and of SIGTERM: CLOCK_MONOTONIC, as all below */
    int64_t began_ns, ended_ns;               /* of the program; 0: not yet */
    struct child_exit exit;
    bool preparing, is_ready, begun;        /* started before the schedule; it said so; the schedule is there */
    bool started, exited;                   /* the program; exited too when it could not be started */
    bool over, asked, killed;               /* the load's time; SIGTERM; SIGKILL */
    bool file_read, told, done;             /* the report; the event; everything */
    size_t left;                            /* processes of it that had to be ended after it */
    struct error start_error;
    struct exec_output out, err;
    struct line_reader *file; /* the report, where it has lines */
    struct wallclock clock;
    struct load_figures figures;
    int64_t lines, unreadable, first_unreadable;
    char first_why[EXTERNAL_WHY], last_words[200]; /* last line of stderr */
    char no_samples[EXTERNAL_WHY + 64];            /* why the report could not be read at all; "": it could */
    struct exec_target targets[200];
    size_t target_count;
};

int exec_start(struct exec_run *l, struct error *err);         /* its folder, files, pipes and process */
void exec_forget_secrets(struct exec_run *l);                  /* files with a secret in them go */
int exec_outputs_open(struct exec_run *l, int ret_fds[2], struct error *err); /* write ends for the child, the caller's to close */
bool exec_outputs_done(const struct exec_run *l);
/* Reads what is there of both pipes, without waiting, and closes them. */
void exec_outputs_drain(struct exec_run *l);
/* Reads the file that samples come from, or begins to: file_read is set then or, before exec_progress() is called, later. */
void exec_read_report(struct exec_run *l);
void exec_outputs_close(struct exec_run *l);
void exec_note_clock(struct exec_run *l);
void exec_progress(struct exec_run *l); /* exec.c: something of it ended; see what is next */
void exec_seems_ready(struct exec_run *l); /* exec.c: it printed the line that was waited for */

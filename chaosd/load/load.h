/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A load: open loop, arrivals by plan, one sample for each. One file a kind, one row in table.c. */
#include "base/buf.h"
#include "history/recorder.h"
#include "io/loop.h"
#include "scenario/scenario.h"

#include <stdbool.h>

struct load;
struct ledger;
/* Where requests go: the run resolves selectors to targets and may change them between requests. Borrowed strings. */
struct load_target {
    const char *name;                       /* "etcd-1" */
    uint16_t id;                            /* as in load/target events */
    const struct template_vars *vars;       /* pod.* */
};

struct load_context {
    struct loop *loop;
    struct recorder *recorder;
    uint64_t seed;
    uint16_t index;    /* of the load in the scenario */
    int64_t length_ns; /* of its time in the schedule */
    int netns_fd;      /* of the cluster; -1: here */
    int cgroup_fd;     /* of programs, a control group's folder; -1: none */
    const char *hosts; /* for /etc/hosts of programs; NULL: as it is */
    const char *dir;   /* the run's folder */
    /* Next target for a selector (NULL vars: fixed URL). -ENOENT: none at present. */
    int (*resolve)(void *arg, const struct selector *s, bool ready_only, uint64_t turn, struct load_target *ret);
    void *resolve_arg;
    uint16_t (*target)(void *resolve_arg, const char *name); /* number of a target that has a name only; SAMPLE_NO_TARGET: too many */
    const struct template_vars *secrets; /* secret.* */
    void (*changed)(void *ended_arg);    /* what ready() says may have changed */
    void (*ended)(void *arg);            /* every request answered or given up, after load_stop or the load's own end */
    void *ended_arg;
};

/* What a ledger's entry turned out to be. */
enum ledger_answer { LEDGER_UNKNOWN, LEDGER_PRESENT, LEDGER_ABSENT, LEDGER_OTHER /* a right answer, and another value */ };
typedef void ledger_done(enum ledger_answer answer, const char *why, uint32_t entry, void *arg); /* why: of UNKNOWN and OTHER, borrowed */

struct load_figures { uint64_t planned, good, bad, unsent; uint32_t in_flight; };

/* What a load asks of this machine, known beforehand. */
struct load_address {
    const char *name;    /* the same for all loads that go there */
    bool loopback;
    int64_t micro_per_s; /* fresh connections */
};
struct load_needs {
    int64_t connections; /* at once */
    struct load_address *addresses;
    size_t count;
    const char *warning; /* to be told before the run, or NULL */
};

struct load_kind {
    struct kind_row row;
    int (*check)(const struct load_spec *l, const struct schema_at *at, struct error *err);
    /* Can it run here? Before anything is started. NULL: always. */
    int (*preflight)(const struct load_spec *l, struct error *err);
    /* Arms the load; nothing is sent before begin. */
    int (*new)(const struct load_spec *spec, const struct load_context *ctx, struct load **ret, struct error *err);
    /* Asked when the pods are ready, again after changed(): 1 when the schedule may start, 0 not yet, -1 never; why is added to.
     * What must run before the schedule is started by the first call. NULL: nothing. */
    int (*ready)(struct load *l, struct buf *why);
    void (*begin)(struct load *l, int64_t start_mono_ns, int64_t end_mono_ns);
    void (*stop)(struct load *l); /* no new arrivals; what is under way runs to its deadline, then ended() */
    void (*figures)(const struct load *l, struct load_figures *ret);
    /* pods: those that will be there, as far as declared; the arena keeps what is returned. NULL: nothing to speak of. 0 or -ENOMEM. */
    int (*needs)(const struct load_spec *spec, const struct doc *doc, const struct candidate *pods, size_t pod_count, struct arena *a,
                 struct load_needs *ret);
    /* For the header: {"kind","rate_micro","lanes":[...],"deadline_ns","ledger":bool}; new reference. */
    json_t *(*describe)(const struct load_spec *spec);
    /* Asks for one entry of the ledger, also after the load's end; done once, never from in here, within the ledger's timeout. Negative:
     * it could not be asked just now. Freeing the load forgets what is under way. NULL: the kind keeps no ledger. */
    int (*read)(struct load *l, uint32_t entry, ledger_done *done, void *arg);
    void (*free)(struct load *l); /* NULL-safe */
};
struct load {
    const struct load_kind *kind;
    struct ledger *ledger; /* NULL: none is kept */
};
extern const struct load_kind *const load_kinds[];

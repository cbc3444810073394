/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Ad hoc network faults: `chaosd inject`. inject_rows.c reads what is asked by the kind's own rows, inject_place.c says where, inject.c puts it in,
 * inject_wait.c holds it and looks for its proof, inject_list.c says what of ours stands on this machine. */
#include "cluster/netns.h"
#include "cluster/reaper.h"
#include "cmd.h"
#include "fault/net.h"
#include "history/journal.h"

struct inject_options {
    const char *netns, *pid, *dev, *for_, *name;
    const char *latency, *jitter, *distribution, *loss, *duplicate, *corrupt, *reorder, *gap, *rate, *correlation;
    const char *direction, *protocol, *limit, *seed;
    struct option_strings to, except, ports, peer_ports, set;
    bool wait, prove, json, yes, list;
};

/* The kind of that name, one that inject can do; -EINVAL with what there is. */
int inject_kind(const char *name, const struct fault_kind **ret, struct error *err);
/* rows: the command's, in which the options are found. Everything in the arena. -EINVAL names the option. */
int inject_rows(const struct option_row *rows, const struct inject_options *o, const struct fault_kind *k, struct arena *a, const struct net_fault **ret,
                struct error *err);
/* -EINVAL and -ENOENT: asked wrongly; others are the machine's. dev: NETEM_DEV_SIZE bytes. */
int inject_place(const struct inject_options *o, struct netns *ret, char *dev, struct error *err);

struct inject {
    const struct fault_kind *kind;
    const struct net_fault *rows;
    struct netns ns;
    char dev[NETEM_DEV_SIZE], run[NETEM_RUN_SIZE], what[160]; /* what: "net-delay on eth0 of web1" */
    int64_t for_ns;
    struct fault_env env;
    struct netem_fault fault;
    struct netem_peer *peers;
    struct netem_effect effect;
    uint64_t dropped_before;
    struct netem_counts before; /* that a change found */
    struct journal *journal;
    struct reaper *reaper;
};

/* kind, rows, ns, dev and for_ns filled by the caller; name: NULL, the kind's. In effect when it returns 0; then inject_leave or inject_end. -EINVAL,
 * -ENODEV: asked wrongly. A failure leaves nothing (of a change: the fault as it was). */
int inject_begin(struct inject *j, const char *name, struct error *err);
void inject_leave(struct inject *j); /* to its deadline and the reaper */
/* At once, what is under way may arrive; nothing of it is left. */
int inject_end(struct inject *j, struct error *err);
/* -ENOENT, -ENODEV: it is not there (any more). Counts are those since it was asked for. */
int inject_read(struct inject *j, struct netem_state *ret, struct error *err);

enum inject_outcome { INJECT_OVER, INJECT_INTERRUPTED };
/* Until the deadline or a signal; -errno: it is gone or not whole any more. until_proven: until a packet met it, 5 s at most. last: as last read. */
int inject_hold(struct inject *j, bool until_proven, struct netem_state *last, struct error *err);

/* What stands on this machine, as text or JSON on stdout. */
int inject_list(bool json, struct error *err);

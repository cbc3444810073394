/* SPDX-License-Identifier: Apache-2.0 */
/* What an earlier agent left: found in the journal, in its reapers and in the kernel. What a NodeFault still asks for is taken over
 * (held.c, held_act.c), then everything else goes. */
#include "agent/agent_priv.h"
#include "agent/reapers.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "cluster/netns.h"
#include "cluster/undo.h"

#include "netem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS_MOST = 4096 };

struct leftover {
    struct reaper_seen *reapers;
    int reaper_count;
    int64_t *ids; /* of the journal's records, newest first */
    json_t **undos;
    size_t count;
};

static void leftover_free(struct leftover *l) {
    for (size_t i = 0; i < l->count; i++)
        json_decref(l->undos[i]);
    reapers_free(l->reapers, l->reaper_count > 0 ? (size_t)l->reaper_count : 0);
    free(l->ids);
    free(l->undos);
    free(l);
}

/* Copies: what is done with one changes the journal's own list. */
static int records_find(struct agent *a, struct leftover **ret, struct error *err) {
    struct leftover *l = calloc(1, sizeof *l);
    if (!l || !(l->ids = calloc(RECORDS_MOST, sizeof *l->ids)) || !(l->undos = calloc(RECORDS_MOST, sizeof *l->undos))) {
        if (l)
            leftover_free(l);
        return error_set(err, -ENOMEM, "out of memory");
    }
    l->count = journal_pending(a->journal, l->ids, (const json_t **)l->undos, RECORDS_MOST);
    for (size_t i = 0; i < l->count; i++)
        l->undos[i] = json_deep_copy(l->undos[i]);
    *ret = l;
    return 0;
}

int leftover_find(struct agent *a, struct leftover **ret, struct error *err) {
    struct leftover *l = NULL;
    int rc = records_find(a, &l, err);
    if (rc < 0)
        return rc;
    rc = l->reaper_count = reapers_seen(&l->reapers, err);
    if (rc < 0)
        leftover_free(l);
    else
        *ret = l;
    return rc < 0 ? rc : 0;
}

static bool is_held(const struct agent *a, const char *uid) {
    for (const struct held *h = a->held; h; h = h->next)
        if (h->state != HELD_NOTHING && strcmp(h->fault.uid, uid) == 0)
            return true;
    return false;
}

static bool holds_network(const struct agent *a, uint64_t inode, const char *run) {
    for (const struct held *h = a->held; h; h = h->next)
        if (h->state != HELD_NOTHING && strcmp(h->run, run) == 0 && node_cluster_netns(a->cluster, h->fault.uid) == inode)
            return true;
    return false;
}

static void undo_record(const json_t *undo) {
    struct error err;
    char what[256];
    undo_describe(undo, what, sizeof what);
    int rc = undo_apply(undo, &err);
    if (rc < 0)
        agent_log(NULL, "left by an earlier agent, and not undone: %s: %s", what, err.text);
    else
        agent_log(NULL, "left by an earlier agent: %s", what);
}

/* A reaper whose agent lives is that one's business. What it would undo is done before it goes, unless it was taken over. */
static void clear_reapers(struct agent *a, struct leftover *l) {
    for (int i = 0; i < l->reaper_count; i++) {
        const struct reaper_seen *r = &l->reapers[i];
        if (r->agent)
            continue;
        if (!is_held(a, json_str_or(r->undo, "fault", "")))
            undo_record(r->undo);
        reaper_seen_end(r, NULL);
    }
}

/* Network faults are looked for in the kernel itself. */
static void clear_journal(struct agent *a, struct leftover *l) {
    for (size_t i = 0; i < l->count; i++) {
        const char *kind = json_str_or(l->undos[i], "kind", "");
        if (strcmp(kind, "reaper") == 0)
            undo_apply(l->undos[i], NULL);
        else if (strcmp(kind, "netem-run") != 0 && !is_held(a, json_str_or(l->undos[i], "fault", "")))
            undo_record(l->undos[i]);
        journal_done(a->journal, l->ids[i], NULL);
    }
}

static int sweep_run(const struct netns *at, const char *run, char *why) {
    struct netem_ns *ns = NULL;
    int rc = netem_ns_open(NULL, netns_to_open(at->path), &ns, why);
    if (rc == 0)
        rc = netem_sweep(ns, run, 0, why);
    netem_ns_close(ns);
    return rc;
}

static void clear_network(struct agent *a, const struct netns *at) {
    char why[NETEM_ERROR_SIZE];
    struct netem_ns *ns = NULL;
    cleanup_free struct netem_owner *owners = NULL;
    int rc = netem_ns_open(NULL, netns_to_open(at->path), &ns, why), n = 0;
    if (rc == 0)
        rc = n = netem_owners(ns, &owners, why);
    netem_ns_close(ns);
    for (int i = 0; i < n && rc >= 0; i++) {
        const struct netem_owner *o = &owners[i];
        if (o->pid || strncmp(o->run, AGENT_RUN, strlen(AGENT_RUN)) != 0 || holds_network(a, at->inode, o->run))
            continue;
        rc = sweep_run(at, o->run, why);
        if (rc >= 0)
            agent_log(NULL, "left by an earlier agent: network faults of %s in %s", o->run, at->said);
    }
    if (rc < 0 && rc != -ENOENT) /* the namespace went meanwhile */
        agent_log(NULL, "looking for network faults in %s: %s", at->said, why);
}

void leftover_clear(struct agent *a, struct leftover *l) {
    struct error err;
    cleanup_free struct netns *all = NULL;
    clear_reapers(a, l);
    clear_journal(a, l);
    int n = netns_all(&all, &err);
    for (int i = 0; i < n; i++)
        clear_network(a, &all[i]);
    if (n < 0)
        agent_log(NULL, "looking for network faults: %s", err.text);
    leftover_free(l);
}

/* The kernel ends what is in a network. A reaper may be there yet: what is done twice does no harm. */
int64_t leftover_overdue(struct agent *a) {
    struct leftover *l = NULL;
    int64_t wait = -1;
    if (records_find(a, &l, NULL) < 0)
        return -1;
    for (size_t i = 0; i < l->count; i++) {
        const int64_t until = json_int_or(l->undos[i], "until", 0), left = until - clock_boot_ns();
        if (until && left <= 0) {
            undo_record(l->undos[i]);
            journal_done(a->journal, l->ids[i], NULL);
        } else if (until && (wait < 0 || left < wait)) {
            wait = left;
        }
    }
    leftover_free(l);
    return wait;
}

void leftover_thaw(struct held *h) {
    struct agent *a = h->agent;
    const struct node_fault_wanted any = {0};
    struct node_fault whole;
    struct node_params p;
    json_t *made = NULL;
    if (node_fault_decode(h->object, &any, &whole, NULL) < 0) /* a newer agent's, say: it may lack what we would go by. Its reaper tells */
        return;
    if (node_params_read(&h->fault, &p, NULL) < 0)
        return;
    const bool froze = p.kind->holds && p.kind->layer == FAULT_PROCESS;
    node_params_free(&p);
    const struct node_victim_spec s = {.fault = &h->fault, .freezes = true, .adopt = true};
    if (!froze)
        return;
    node_cluster_remove(a->cluster, h->fault.uid);
    if (node_cluster_add(a->cluster, &s, NULL) < 0)
        return;
    if (node_cluster_frozen(a->cluster, h->fault.uid) && a->cluster->kind->undo_freeze(a->cluster, h->fault.uid, &made, NULL) == 0)
        undo_record(made);
    json_decref(made);
    node_cluster_remove(a->cluster, h->fault.uid);
}

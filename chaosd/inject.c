/* SPDX-License-Identifier: Apache-2.0 */
/* Putting an ad hoc fault in, changing it, and taking it away. Its name in the kernel and in the journal says which it is (namespace, interface,
 * name), so that the same again finds it from the kernel. Undo record and reaper stand before it does. */
#include "inject.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "cluster/undo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REAPER_AFTER_NS (500 * NS_PER_MS) /* the kernel ends it at the deadline; the reaper only tidies up */
#define DRAIN_MORE_NS (2 * NS_PER_S)      /* beyond what the delay explains */
#define RATE_DRAIN_NS (30 * NS_PER_S)     /* what a slow link has still to send */

enum { SLOTS = 64, NAME_MOST = 40, RECORDS = 64, FIRST_ID = 0x40000000 };

static int name_it(struct inject *j, const char *name, struct error *err) {
    const char *n = name ? name : j->kind->row.name;
    size_t len = strlen(n);
    if (len < 1 || len > NAME_MOST || strspn(n, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return error_set(err, -EINVAL, "--name: expected 1 to %d of a to z, 0 to 9 and \"-\", as in slow-disk", NAME_MOST);
    uint64_t h = hash_text(hash_text(HASH_SEED, j->dev), n);
    for (int i = 0; i < 8; i++)
        h = hash_byte(h, (unsigned char)(j->ns.inode >> (8 * i)));
    snprintf(j->run, sizeof j->run, "inject-%s-%08x", n, (unsigned)(h ^ h >> 32));
    snprintf(j->what, sizeof j->what, "%s on %s of %s", n, j->dev, j->ns.said);
    return 0;
}

static int64_t drain_ns(const struct inject *j) {
    const struct netem_params *p = &j->rows->params;
    return p->delay_ns + 4 * p->jitter_ns + (p->rate_bps ? RATE_DRAIN_NS : DRAIN_MORE_NS);
}

/* By its inode: a path through a process goes with the process, the namespace need not. */
static int open_ns(struct inject *j, struct netem_ns **ret, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    struct netns at;
    int rc = netns_find(j->ns.inode, j->ns.path, &at);
    if (rc < 0)
        return error_set(err, rc, "%s: the network namespace is gone, with all that was in it", j->ns.said);
    rc = netem_ns_open(j->env.netem, netns_to_open(at.path), ret, why);
    return rc < 0 ? error_set(err, rc, "%s", why) : 0;
}

/* --- which it is: the one of its name that is there, else a number that nobody has --- */

static int find_id(struct inject *j, struct netem_ns *ns, int64_t *ret_left, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    cleanup_free struct netem_state *list = NULL;
    int n = netem_list(ns, NULL, &list, why);
    if (n < 0)
        return error_set(err, n, "%s", why);
    *ret_left = 0;
    for (int i = 0; i < n; i++)
        if (strcmp(list[i].run, j->run) == 0) {
            j->fault.id = list[i].id;
            *ret_left = list[i].left_ns;
            return 0;
        }
    uint32_t id = FIRST_ID | (uint32_t)(hash_text(HASH_SEED, j->run) & (FIRST_ID - 1));
    for (int i = 0; i < n; i++)
        if (list[i].id == id) {
            id = FIRST_ID | ((id + 1) & (FIRST_ID - 1));
            i = -1; /* from the start: another may have that one */
        }
    j->fault.id = id;
    return 0;
}

/* --- who undoes it when nobody comes back --- */

static json_t *record(const struct inject *j) {
    return json_pack("{s:s,s:s,s:I,s:s,s:I,s:s,s:s}", "kind", "netem-run", "netns", j->ns.path, "inode", (json_int_t)j->ns.inode, "run", j->run, "drain_ms",
                     (json_int_t)(drain_ns(j) / NS_PER_MS), "what", j->what, "journal", j->run);
}

static void done(struct journal *journal, const int64_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++)
        journal_done(journal, ids[i], NULL);
}

/* Of an earlier deadline: its fault is what is changed now, and must not be taken away at that one. */
static void retire(struct journal *journal, const int64_t *ids, const json_t *const *undos, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(json_string_value(json_object_get(undos[i], "kind")), "reaper") == 0)
            undo_apply(undos[i], NULL);
        journal_done(journal, ids[i], NULL);
    }
}

/* A reaper for this deadline and both records on the disk; then those before it go. */
static int stand_by(struct inject *j, int64_t until_ns, struct error *err) {
    int64_t old[RECORDS], fresh[2];
    const json_t *undos[RECORDS];
    size_t n = journal_pending(j->journal, old, undos, RECORDS), added = 0;
    struct reaper *reaper = NULL;
    cleanup_json json_t *undo = record(j), *later = json_copy(undo);
    if (!later || json_object_set_new(later, "only_over", json_true()) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = reaper_start(later, until_ns + REAPER_AFTER_NS, &reaper, err);
    cleanup_json json_t *end_reaper = rc == 0 ? reaper_undo(reaper) : NULL;
    if (rc == 0 && (rc = journal_add(j->journal, end_reaper, &fresh[added], err)) == 0)
        added++;
    if (rc == 0 && (rc = journal_add(j->journal, undo, &fresh[added], err)) == 0)
        added++;
    if (rc == 0)
        rc = reaper_arm(reaper, err);
    if (rc < 0) {
        reaper_dismiss(reaper);
        done(j->journal, fresh, added);
        return rc;
    }
    reaper_dismiss(take_ptr(j->reaper));
    j->reaper = reaper;
    retire(j->journal, old, undos, n);
    return 0;
}

static void stand_down(struct inject *j) {
    int64_t ids[RECORDS];
    reaper_dismiss(take_ptr(j->reaper));
    done(j->journal, ids, journal_pending(j->journal, ids, NULL, RECORDS));
    journal_close(take_ptr(j->journal), NULL);
}

static void close_all(struct inject *j) {
    reaper_leave(take_ptr(j->reaper));
    journal_close(take_ptr(j->journal), NULL);
    fault_env_close(&j->env);
    free(take_ptr(j->peers));
}

/* --- in --- */

static int prepare(struct inject *j, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    struct fault_act act = {.env = &j->env};
    int rc = net_look_up(&j->env, j->rows, err);
    if (rc < 0)
        return error_wrap(err, -EINVAL, "--to");
    if ((rc = netem_open(SLOTS, &j->env.netem, why)) < 0)
        return error_set(err, rc == -EINVAL ? -ENOSYS : rc, "%s", why);
    if ((rc = net_peers(&act, j->rows, &j->peers, &j->fault.peer_count, err)) < 0)
        return rc;
    size_t count = j->fault.peer_count;
    net_to_netem(j->rows, true, &j->fault);
    j->fault.run = j->run;
    j->fault.dev = j->dev;
    j->fault.for_ns = j->for_ns;
    j->fault.peers = j->peers;
    j->fault.peer_count = count;
    return 0;
}

static int take_journal(struct inject *j, struct error *err) {
    int rc = journal_open(j->run, &j->journal, err);
    if (rc == -EBUSY)
        return error_set(err, rc, "%s is held by another chaosd inject (--wait): end that one, or give this one a --name of its own", j->what);
    return rc;
}

/* A reaper that outlived its fault may be at work on what is found: it is ended by stand_by, and what is there then is looked at anew. */
static int act(struct inject *j, struct netem_ns *ns, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    int64_t left = 0;
    int rc = find_id(j, ns, &left, err);
    if (rc == 0)
        rc = stand_by(j, netem_now() + j->for_ns, err);
    if (rc < 0)
        return rc;
    if ((rc = netem_inject(ns, &j->fault, &j->effect, why)) < 0) {
        rc = error_set(err, rc == -ENOENT ? -EOPNOTSUPP : rc, "%s", why); /* what the kernel lacks is nobody's mistake */
        if (left > 0 && stand_by(j, netem_now() + left, NULL) == 0)
            return rc; /* as it was, and with who ends it */
        stand_down(j);
        return rc;
    }
    struct netem_state s;
    if (j->effect.changed && netem_read(ns, j->dev, j->fault.id, NULL, &s, NULL) == 0) { /* it took the counts over, also of one that had ended */
        j->before = (struct netem_counts){.packets = s.out.packets + s.in.packets, .bytes = s.out.bytes + s.in.bytes};
        j->dropped_before = s.has_queue ? s.queue_dropped : 0;
    }
    j->effect.changed &= left > 0;
    return 0;
}

int inject_begin(struct inject *j, const char *name, struct error *err) {
    struct netem_ns *ns = NULL;
    int rc = name_it(j, name, err);
    if (rc == 0)
        rc = prepare(j, err);
    if (rc == 0)
        rc = open_ns(j, &ns, err);
    if (rc == 0 && (rc = take_journal(j, err)) == 0)
        rc = act(j, ns, err);
    netem_ns_close(ns);
    if (rc < 0)
        close_all(j);
    return rc;
}

void inject_leave(struct inject *j) { close_all(j); }

int inject_read(struct inject *j, struct netem_state *ret, struct error *err) {
    char why[NETEM_ERROR_SIZE];
    struct netem_ns *ns = NULL;
    int rc = open_ns(j, &ns, err);
    if (rc < 0)
        return rc;
    rc = netem_read(ns, j->dev, j->fault.id, j->fault.act == NETEM_SHAPE ? j->fault.params : NULL, ret, why);
    netem_ns_close(ns);
    return rc < 0 ? error_set(err, rc, "%s", why) : 0;
}

int inject_end(struct inject *j, struct error *err) {
    cleanup_json json_t *undo = record(j);
    int rc = undo ? undo_apply(undo, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc == 0)
        stand_down(j);
    close_all(j);
    return rc;
}

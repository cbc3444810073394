/* SPDX-License-Identifier: Apache-2.0 */
/* What stands ready before a fault is put in, for when this agent does not come back: a record in the journal, and a reaper for what the
 * kernel does not end by itself. */
#include "agent/agent_priv.h"
#include "agent/reapers.h"

#include "base/cleanup.h"
#include "base/json.h"

#include "netem.h"

#include <errno.h>
#include <stdio.h>

#define REAPER_GRACE_NS (500 * NS_PER_MS) /* it stands behind our own deadline */

/* By the namespace, whatever path leads to it later; there is one fault at most in it, so all that the run has there is meant. */
static json_t *network_record(struct held *h, const json_t *undo) {
    char what[700];
    snprintf(what, sizeof what, "%s on %s/%s", h->fault.kind, h->fault.pod_namespace, h->fault.pod_name);
    return json_pack("{s:s, s:s, s:I, s:s, s:I, s:s}", "kind", "netem-run", "netns", json_str_or(undo, "netns", ""), "inode",
                     (json_int_t)node_cluster_netns(h->agent->cluster, h->fault.uid), "run", h->run, "drain_ms",
                     (json_int_t)json_int_or(undo, "drain_ms", 0), "what", what);
}

static int stand_by(struct held *h, json_t *undo, struct error *err) {
    struct agent *a = h->agent;
    if (a->hidden)
        return error_set(err, -EACCES, "the agent runs in a pod and does not see in which control group: its reaper would end with it "
                                       "(the node's /sys/fs/cgroup, hostPID and CAP_SYS_ADMIN are needed)");
    json_object_set_new(undo, "fault", json_string(h->fault.uid));
    json_object_set_new(undo, "by", reaper_agent());
    json_object_set_new(undo, "leave", json_boolean(a->contained));
    json_object_set_new(undo, "until", json_integer((json_int_t)h->end_boot_ns));
    int rc = reaper_start(undo, h->end_boot_ns + REAPER_GRACE_NS, &h->reaper, err);
    if (rc < 0 && a->contained)
        return error_wrap(err, -EACCES, "a reaper that outlives the agent's container (it needs the node's /sys/fs/cgroup, writable)");
    cleanup_json json_t *end_reaper = rc == 0 ? reaper_undo(h->reaper) : NULL;
    return rc == 0 ? journal_add(a->journal, end_reaper, &h->reaper_journal_id, err) : rc;
}

int held_make_safe(struct held *h, const struct pod *victim, struct error *err) {
    const struct fault_kind *kind = h->params.kind;
    json_t *made = NULL;
    int rc = kind->undo(&h->pub, victim, &made, err);
    cleanup_json json_t *undo = made;
    if (rc == 0 && !kind->bounded)
        rc = stand_by(h, undo, err);
    cleanup_json json_t *record = rc < 0 ? NULL : kind->bounded ? network_record(h, undo) : json_incref(undo);
    if (rc == 0)
        rc = record ? journal_add(h->agent->journal, record, &h->journal_id, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc == 0 && h->reaper)
        rc = reaper_arm(h->reaper, err);
    return rc;
}

void held_stand_down(struct held *h) {
    reaper_dismiss(take_ptr(h->reaper));
    if (h->reaper_journal_id >= 0)
        journal_done(h->agent->journal, h->reaper_journal_id, NULL);
    if (h->journal_id >= 0)
        journal_done(h->agent->journal, h->journal_id, NULL);
    h->journal_id = h->reaper_journal_id = -1;
}

void held_sweep_network(struct held *h) {
    struct cluster *c = h->agent->cluster;
    char why[NETEM_ERROR_SIZE];
    struct pod_network net;
    struct netem_ns *ns = NULL;
    if (c->kind->network(c, h->fault.uid, &net, NULL) < 0)
        return; /* gone with the pod */
    int rc = netem_ns_open_fd(NULL, net.netns_fd, &ns, why);
    if (rc == 0)
        rc = netem_sweep(ns, h->run, 0, why);
    netem_ns_close(ns);
    if (rc < 0 && rc != -ENOENT)
        agent_log(h, "what is left in the pod's network could not be taken away: %s", why);
}

const char *held_reason(int rc) {
    static const struct {
        int rc;
        const char *word;
    } words[] = {{-EACCES, "NotAllowed"}, {-EPERM, "NotAllowed"}, {-EOPNOTSUPP, "NotAble"}, {-ENOSYS, "NotAble"}, {-EBUSY, "Busy"},
                 {-ENOENT, "NoPod"},      {-ESRCH, "NoPod"},      {-EAGAIN, "NoPod"},       {-EINVAL, "Invalid"},
                 {-ETIME, "DeadlinePast"}};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (words[i].rc == rc)
            return words[i].word;
    return "Error";
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The cordon of a node: what node-cordon is, and what node-drain begins with. */
#include "fault/object.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>

static json_t *patch(struct object_edit *e, const json_t *object, struct error *why) {
    char run[OBJECT_NAME_SIZE];
    if (json_is_true(json_at(object, "spec.unschedulable")) && !kubernetes_mark_run(object, run, sizeof run)) {
        error_set(why, 0, "%s is cordoned already, by somebody else: it would not be known who may uncordon it", e->title);
        return NULL;
    }
    return object_marked_patch(e, object, why);
}

bool object_cordoned(const struct object_edit *e) {
    struct kubernetes_node n;
    return kubernetes_node(e->base.act->env->cluster, e->name, &n) && n.unschedulable;
}

int object_cordon_new(struct fault_act *a, size_t size, const struct pod *victim, struct error *err) {
    struct kubernetes_node n;
    if (!*victim->node || !kubernetes_node(a->env->cluster, victim->node, &n))
        return error_set(err, -EBUSY, "nothing is known of node \"%s\": is it allowed to list nodes?", victim->node);
    if (n.unschedulable && !n.undo)
        return error_set(err, -EBUSY, "Node %s is cordoned already, by somebody else: it would not be known who may uncordon it", n.name);
    int rc = object_edit_new(a, size, &kube_kinds[KUBE_NODES], "", n.name, n.uid, err);
    if (rc < 0)
        return rc;
    struct object_edit *e = a->own;
    e->patch = patch;
    e->ours = object_marked_ours;
    object_edit_holds(e, "unschedulable", NULL, json_true());
    return 0;
}

int object_cordon_undo(struct fault_act *a, json_t **ret, struct error *err) {
    const struct object_edit *e = a->own;
    char what[OBJECT_NAME_SIZE + 32];
    snprintf(what, sizeof what, "uncordon %s", e->name);
    return object_edit_undo(a, what, ret, err);
}

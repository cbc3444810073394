/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's record of a change on an object of the API server: whoever applies it reaches the server by the record's own access. */
#include "base/cleanup.h"
#include "base/json.h"
#include "cluster/kubernetes_undo.h"

#include <errno.h>
#include <string.h>

#define SLACK_NS (5 * NS_PER_S)

struct outcome {
    bool done;
    int rc;
    char text[1024];
};

static void on_done(int rc, const char *text, void *arg) {
    struct outcome *o = arg;
    o->done = true;
    o->rc = rc;
    snprintf(o->text, sizeof o->text, "%s", text);
}

/* field NULL: of a record that an older chaosd wrote. */
static struct kubernetes_changed change_of(const json_t *undo) {
    return (struct kubernetes_changed){.run = json_str_or(undo, "run", ""), .id = json_int_or(undo, "id", -1),
                                       .field = json_str_or(undo, "field", NULL), .from = json_object_get(undo, "from"),
                                       .to = json_object_get(undo, "to")};
}

static int apply(const json_t *undo, const struct kube_kind *kind, struct kubernetes_session *s, struct error *err) {
    struct outcome o = {0};
    const int64_t patience_s = json_int_or(undo, "patience_s", 0);
    const int64_t limit_ns = patience_s > 0 ? patience_s * NS_PER_S : KUBERNETES_UNDO_LIMIT_NS;
    struct kubernetes_undo *u = NULL;
    const struct kubernetes_undo_spec spec = {
        .kind = kind,
        .namespace = json_str_or(undo, "namespace", NULL),
        .name = json_str_or(undo, "name", ""),
        .uid = json_str_or(undo, "uid", NULL),
        .change = change_of(undo),
        .late = true, /* who wrote it may have died in mid-patch */
        .limit_ns = limit_ns,
        .done = on_done,
        .arg = &o,
    };
    int rc = kubernetes_undo_start(kubernetes_session_client(s), &spec, &u, err);
    if (rc == 0 && (rc = kubernetes_session_wait(s, &o.done, limit_ns + SLACK_NS, err)) < 0)
        kubernetes_undo_cancel(u);
    return rc < 0 ? rc : *o.text ? error_set(err, o.rc < 0 ? o.rc : 1, "%s", o.text) : 0;
}

/* --- a NodeFault: what its agent holds ends with it --- */

static void on_deleted(const struct kube_answer *a, void *arg) {
    const bool gone = a->trouble == KUBE_NOT_FOUND;
    on_done(a->trouble == KUBE_OK || gone ? 0 : -EIO, gone ? "it is gone already" : a->why, arg);
}

static int delete(const json_t *undo, struct kubernetes_session *s, struct error *err) {
    const struct kube_deletion how = {.uid = json_str_or(undo, "uid", NULL), .grace_s = -1};
    struct outcome o = {0};
    struct kube_call *call = NULL;
    int rc = kube_delete(kubernetes_session_client(s), &kube_kinds[KUBE_NODEFAULTS], json_str_or(undo, "namespace", ""), json_str_or(undo, "name", ""),
                         &how, on_deleted, &o, &call, err);
    if (rc == 0 && (rc = kubernetes_session_wait(s, &o.done, KUBERNETES_UNDO_LIMIT_NS, err)) < 0)
        kube_cancel(call);
    return rc < 0 ? rc : o.rc < 0 ? error_set(err, o.rc, "%s", o.text) : 0;
}

int undo_node_fault(const json_t *undo, struct error *err) {
    struct kubernetes_session *s = NULL;
    if (!*json_str_or(undo, "namespace", "") || !*json_str_or(undo, "name", ""))
        return error_set(err, -EINVAL, "the record names no NodeFault");
    int rc = kubernetes_session_open(json_object_get(undo, "access"), &s, err);
    if (rc == 0)
        rc = delete(undo, s, err);
    kubernetes_session_close(s);
    return rc;
}

void undo_node_fault_describe(const json_t *undo, char *out, size_t size) {
    snprintf(out, size, "end %s on pod %s by its agent on node %s", json_str_or(undo, "what", "a fault"), json_str_or(undo, "pod", "?"),
             json_str_or(undo, "node", "?"));
}

/* --- a change --- */

int undo_kube(const json_t *undo, struct error *err) {
    const struct kube_kind *kind = kube_kind_find(json_str_or(undo, "resource", ""));
    struct kubernetes_session *s = NULL;
    if (!kind || !*json_str_or(undo, "name", "") || !*json_str_or(undo, "run", ""))
        return error_set(err, -EINVAL, "the record names no object, or no run");
    int rc = kubernetes_session_open(json_object_get(undo, "access"), &s, err);
    if (rc == 0)
        rc = apply(undo, kind, s, err);
    kubernetes_session_close(s);
    return rc;
}

void undo_kube_describe(const json_t *undo, char *out, size_t size) {
    const char *namespace = json_str_or(undo, "namespace", "");
    snprintf(out, size, "%s%s%s", json_str_or(undo, "what", "put an object of the API server back"), *namespace ? " in namespace " : "",
             namespace);
}

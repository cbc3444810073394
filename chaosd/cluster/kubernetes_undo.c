/* SPDX-License-Identifier: Apache-2.0 */
/* Puts back what an act changed on one object: read, decide, patch, and read again when it changed in between; then, of a Deployment, takes
 * the mark's copies out of its ReplicaSets. */
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/json.h"
#include "cluster/kubernetes_undo.h"

#include <errno.h>
#include <string.h>

#define ASK_NS (10 * NS_PER_S) /* one question, with the client's own tries: then ours begin anew */
enum { ROUNDS_MOST = 20, COPIES_MOST = 64 };

struct kubernetes_undo {
    struct kube *kube;
    const struct kube_kind *kind;
    char *namespace, *name, *uid, *run, *field; /* namespace, uid, field: may be NULL */
    struct kubernetes_changed change;           /* of the copies above */
    json_t *from, *to;
    bool late;
    int64_t deadline_ns;
    struct kube_call *call;
    struct timer *timer;
    unsigned tries, rounds; /* without an answer; patches that came too late */
    char note[512];
    json_t *copies;         /* [{"name", "annotation"}] of ReplicaSets */
    void (*next)(struct kubernetes_undo *u);
    void (*done)(int rc, const char *text, void *arg);
    void *arg;
};

static void read_object(struct kubernetes_undo *u);
static void list_copies(struct kubernetes_undo *u, const json_t *deployment);
static void next_copy(struct kubernetes_undo *u);

void kubernetes_undo_cancel(struct kubernetes_undo *u) {
    if (!u)
        return;
    kube_cancel(u->call);
    timer_free(u->timer);
    json_decref(u->copies);
    free(u->namespace);
    free(u->name);
    free(u->uid);
    free(u->run);
    free(u->field);
    json_decref(u->from);
    json_decref(u->to);
    free(u);
}

static void finish(struct kubernetes_undo *u, int rc, const char *text) {
    char said[1024];
    void (*done)(int rc, const char *text, void *arg) = u->done;
    void *arg = u->arg;
    snprintf(said, sizeof said, "%s", text);
    kubernetes_undo_cancel(u);
    done(rc, said, arg);
}

static void on_timer(void *arg) {
    struct kubernetes_undo *u = arg;
    u->next(u);
}

/* Once more after a pause, while there is time. */
static void again(struct kubernetes_undo *u, int rc, const char *why) {
    const int64_t pause = kube_pause_ns(u->kube, u->tries + u->rounds);
    if (loop_now() + pause >= u->deadline_ns) {
        finish(u, rc, why);
        return;
    }
    u->next = read_object;
    timer_after(u->timer, pause);
}

/* True: it was no answer to go by, and is dealt with. */
static bool in_trouble(struct kubernetes_undo *u, const struct kube_answer *a) {
    switch (a->trouble) {
    case KUBE_OK:
    case KUBE_NOT_FOUND:
    case KUBE_CONFLICT:
    case KUBE_INVALID:
        return false;
    case KUBE_FORBIDDEN:
        finish(u, -EACCES, a->why);
        return true;
    default: /* it may come back: a server, a proxy, a login */
        u->tries++;
        again(u, -EIO, a->why);
        return true;
    }
}

static void ask(struct kubernetes_undo *u, struct kube_request *r, kube_done *done) {
    struct error err;
    const int64_t left = u->deadline_ns - loop_now();
    r->limit_ns = left < ASK_NS ? (left > NS_PER_MS ? left : NS_PER_MS) : ASK_NS;
    r->done = done;
    r->arg = u;
    int rc = kube_start(u->kube, r, &u->call, &err);
    if (rc < 0)
        finish(u, rc, err.text);
}

static void clean_copies(struct kubernetes_undo *u, const json_t *object) {
    if (u->kind == &kube_kinds[KUBE_DEPLOYMENTS])
        list_copies(u, object);
    else
        finish(u, 0, u->note);
}

/* --- a patch of ours that may still be under way --- */

static void on_touched(const struct kube_answer *a, void *arg);

/* In, and out again: the server keeps what changes nothing as it is, so that one patch with both would be none. The first goes on the object
 * as it was read: one that came in between is seen. */
static void touch(struct kubernetes_undo *u, const json_t *object, bool in) {
    const char *version = json_str_or(json_object_get(object, "metadata"), "resourceVersion", NULL);
    cleanup_json json_t *patch = json_pack("{s:{s:s*, s:s*, s:{s:o}}}", "metadata", "uid", u->uid, "resourceVersion", in ? version : NULL,
                                           "labels", CHAOSD_TOUCH_LABEL, in ? json_string(u->run) : json_null());
    struct kube_request r = {.verb = "patch", .kind = u->kind, .namespace = u->namespace, .name = u->name, .body = patch,
                             .content_type = "application/merge-patch+json", .repeat = true};
    ask(u, &r, on_touched);
}

static bool touched(const struct kubernetes_undo *u, const json_t *object) {
    return strcmp(json_str_or(json_at(object, "metadata.labels"), CHAOSD_TOUCH_LABEL, ""), u->run) == 0;
}

static void on_touched(const struct kube_answer *a, void *arg) {
    struct kubernetes_undo *u = arg;
    u->call = NULL;
    if (in_trouble(u, a))
        return;
    if (a->trouble == KUBE_NOT_FOUND)
        finish(u, 0, "it is gone");
    else if (a->trouble == KUBE_OK && touched(u, a->json))
        touch(u, a->json, false);
    else if (a->trouble == KUBE_OK)
        clean_copies(u, a->json);
    else if (a->trouble == KUBE_CONFLICT && ++u->rounds < ROUNDS_MOST) /* it changed since it was read: perhaps by that patch */
        again(u, -EBUSY, a->why);
    else
        finish(u, a->trouble == KUBE_CONFLICT ? -EBUSY : -EINVAL, a->why);
}

/* --- the object --- */

/* It is as it should be. */
static void on_absent(struct kubernetes_undo *u, const json_t *object) {
    if (touched(u, object))
        touch(u, object, false); /* an earlier try of ours, or of a chaosd that ended then */
    else if (u->late)
        touch(u, object, true);
    else
        clean_copies(u, object);
}

static void on_patched(const struct kube_answer *a, void *arg) {
    struct kubernetes_undo *u = arg;
    u->call = NULL;
    if (in_trouble(u, a))
        return;
    if (a->trouble == KUBE_OK) {
        clean_copies(u, a->json);
    } else if (a->trouble == KUBE_NOT_FOUND) {
        finish(u, 0, "");
    } else if (++u->rounds < ROUNDS_MOST) { /* it changed meanwhile */
        again(u, -EBUSY, a->why);
    } else {
        finish(u, -EBUSY, a->why);
    }
}

static void patch_object(struct kubernetes_undo *u, const json_t *patch) {
    /* Sent twice it fails the second time, on its first test: repeating it is safe. */
    struct kube_request r = {.verb = "patch", .kind = u->kind, .namespace = u->namespace, .name = u->name, .body = patch,
                             .content_type = "application/json-patch+json", .repeat = true};
    ask(u, &r, on_patched);
}

static void on_read(const struct kube_answer *a, void *arg) {
    struct kubernetes_undo *u = arg;
    cleanup_json json_t *patch = NULL;
    u->call = NULL;
    if (in_trouble(u, a))
        return;
    const char *uid = a->trouble == KUBE_OK ? json_str_or(json_object_get(a->json, "metadata"), "uid", "") : "";
    if (a->trouble == KUBE_NOT_FOUND || (u->uid && a->trouble == KUBE_OK && strcmp(uid, u->uid) != 0)) {
        finish(u, 0, "it is gone");
        return;
    }
    if (a->trouble != KUBE_OK) {
        finish(u, -EINVAL, a->why);
        return;
    }
    switch (kubernetes_undo_plan(a->json, &u->change, &patch, u->note, sizeof u->note)) {
    case KUBERNETES_UNDO_ABSENT:
        on_absent(u, a->json);
        return;
    case KUBERNETES_UNDO_NOTHING:
        clean_copies(u, a->json);
        return;
    case KUBERNETES_UNDO_UNCLEAR:
        finish(u, -EPROTO, u->note);
        return;
    default:
        patch_object(u, patch);
    }
}

static void read_object(struct kubernetes_undo *u) {
    struct kube_request r = {.verb = "get", .kind = u->kind, .namespace = u->namespace, .name = u->name};
    ask(u, &r, on_read);
}

/* --- the mark's copies in ReplicaSets --- */

/* What cannot be tidied up is told, and no failure: a copy without the label is nothing to chaosd. */
static void leave_copies(struct kubernetes_undo *u, const char *why) {
    size_t n = strlen(u->note);
    snprintf(u->note + n, sizeof u->note - n, "%scopies of the annotation are left in its ReplicaSets: %s", n ? "; " : "", why);
    finish(u, 0, u->note);
}

static bool owned_by(const json_t *object, const char *uid) {
    size_t i;
    json_t *o;
    json_array_foreach(json_at(object, "metadata.ownerReferences"), i, o) {
        if (strcmp(json_str_or(o, "uid", ""), uid) == 0)
            return true;
    }
    return false;
}

static void on_copies(const struct kube_answer *a, void *arg) {
    struct kubernetes_undo *u = arg;
    size_t i;
    json_t *set;
    u->call = NULL;
    if (a->trouble != KUBE_OK) {
        leave_copies(u, a->why);
        return;
    }
    json_array_foreach(json_object_get(a->json, "items"), i, set) {
        cleanup_json json_t *mark = kubernetes_mark(set);
        const json_t *metadata = json_object_get(set, "metadata");
        if (kubernetes_mark_is(mark, u->run, u->change.id) && owned_by(set, u->uid) && json_array_size(u->copies) < COPIES_MOST)
            json_array_append_new(u->copies, json_pack("{s:s, s:s}", "name", json_str_or(metadata, "name", ""), "annotation",
                                                       json_str_or(json_object_get(metadata, "annotations"), CHAOSD_UNDO_ANNOTATION, "")));
    }
    next_copy(u);
}

/* Its ReplicaSets carry its labels. */
static void list_copies(struct kubernetes_undo *u, const json_t *deployment) {
    cleanup_buf struct buf labels = {0}, query = {0};
    const char *key, *uid = json_str_or(json_object_get(deployment, "metadata"), "uid", "");
    json_t *value;
    json_object_foreach((json_t *)json_at(deployment, "spec.selector.matchLabels"), key, value) {
        buf_printf(&labels, "%s%s=%s", labels.len ? "," : "", key, json_string_value(value) ? json_string_value(value) : "");
    }
    buf_str(&query, "labelSelector=");
    url_add(&query, labels.len ? labels.data : "");
    if (!u->uid)
        u->uid = strdup(uid);
    u->copies = json_array();
    if (!u->uid || !u->copies || !buf_ok(&query) || !buf_ok(&labels)) {
        leave_copies(u, "out of memory");
        return;
    }
    struct kube_request r = {.verb = "list", .kind = &kube_kinds[KUBE_REPLICASETS], .namespace = u->namespace, .query = query.data};
    ask(u, &r, on_copies);
}

static void on_copy_out(const struct kube_answer *a, void *arg) {
    struct kubernetes_undo *u = arg;
    u->call = NULL;
    if (a->trouble != KUBE_OK && a->trouble != KUBE_NOT_FOUND && a->trouble != KUBE_INVALID) { /* invalid: another's by now */
        leave_copies(u, a->why);
        return;
    }
    json_array_remove(u->copies, 0);
    next_copy(u);
}

static void next_copy(struct kubernetes_undo *u) {
    const json_t *copy = json_array_get(u->copies, 0);
    if (!copy) {
        finish(u, 0, u->note);
        return;
    }
    const char *pointer = "/metadata/annotations/chaosd.io~1undo";
    cleanup_json json_t *patch = json_pack("[{s:s, s:s, s:s}, {s:s, s:s}]", "op", "test", "path", pointer, "value",
                                           json_str_or(copy, "annotation", ""), "op", "remove", "path", pointer);
    struct kube_request r = {.verb = "patch", .kind = &kube_kinds[KUBE_REPLICASETS], .namespace = u->namespace,
                             .name = json_str_or(copy, "name", ""), .body = patch, .content_type = "application/json-patch+json",
                             .repeat = true};
    ask(u, &r, on_copy_out);
}

/* --- */

static int keep(char **to, const char *text) {
    *to = text ? strdup(text) : NULL;
    return text && !*to ? -1 : 0;
}

int kubernetes_undo_start(struct kube *k, const struct kubernetes_undo_spec *s, struct kubernetes_undo **ret, struct error *err) {
    struct kubernetes_undo *u = calloc(1, sizeof *u);
    if (!u || keep(&u->namespace, s->namespace && *s->namespace ? s->namespace : NULL) < 0 || keep(&u->name, s->name) < 0 ||
        keep(&u->uid, s->uid) < 0 || keep(&u->run, s->change.run) < 0 || keep(&u->field, s->change.field) < 0) {
        kubernetes_undo_cancel(u);
        return error_set(err, -ENOMEM, "out of memory");
    }
    u->kube = k;
    u->kind = s->kind;
    u->from = json_incref((json_t *)s->change.from);
    u->to = json_incref((json_t *)s->change.to);
    u->change = (struct kubernetes_changed){.run = u->run, .id = s->change.id, .field = u->field, .from = u->from, .to = u->to};
    u->late = s->late;
    u->deadline_ns = loop_now() + (s->limit_ns ? s->limit_ns : KUBERNETES_UNDO_LIMIT_NS);
    u->next = read_object;
    u->done = s->done;
    u->arg = s->arg;
    int rc = timer_new(kube_loop(k), on_timer, u, &u->timer, err);
    if (rc < 0) {
        kubernetes_undo_cancel(u);
        return rc;
    }
    timer_at(u->timer, 1); /* nobody is told inside this call */
    *ret = u;
    return 0;
}

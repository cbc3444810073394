/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of an object: read, patch as it was read, again when it changed in between; undone by the mark that went in with the change. */
#include "base/cleanup.h"
#include "base/json.h"
#include "fault/object.h"

#include <errno.h>
#include <string.h>

enum { ROUNDS_MOST = 20 };
#define ROUND_NS (20 * NS_PER_MS)
#define UNDO_NS (KUBERNETES_UNDO_LIMIT_NS + 2 * OBJECT_ASK_NS)

static void turn(struct object_act *o);

int object_edit_new(struct fault_act *a, size_t size, const struct kube_kind *kind, const char *namespace, const char *name,
                    const char *uid, struct error *err) {
    int rc = object_act_new(a, size, turn, err);
    if (rc < 0)
        return rc;
    struct object_edit *e = a->own;
    e->kind = kind;
    snprintf(e->namespace, sizeof e->namespace, "%s", namespace);
    snprintf(e->name, sizeof e->name, "%s", name);
    snprintf(e->uid, sizeof e->uid, "%s", uid);
    snprintf(e->title, sizeof e->title, "%s %s", kind->name, name);
    a->revert_ns = UNDO_NS;
    return 0;
}

void object_edit_free(struct fault_act *a) {
    struct object_edit *e = a->own;
    if (e) {
        kubernetes_undo_cancel(take_ptr(e->undo));
        json_decref(take_ptr(e->from));
        json_decref(take_ptr(e->to));
    }
    object_act_free(a);
}

/* --- into effect --- */

static void read_object(struct object_edit *e);
static void undo(struct object_edit *e);

static struct kube *client(const struct object_edit *e) { return kubernetes_client(e->base.act->env->cluster); }

static void ask(struct object_edit *e, struct kube_request *r, kube_done *done) {
    struct error err;
    r->kind = e->kind;
    r->namespace = *e->namespace ? e->namespace : NULL;
    r->name = e->name;
    r->limit_ns = OBJECT_ASK_NS / 2;
    r->done = done;
    r->arg = e;
    if (kube_start(client(e), r, &e->base.call, &err) < 0)
        object_refused(e->base.act, -EIO, "%s", err.text);
}

/* No answer to go by. Once a patch may have been taken, it is looked for as long as the fault was to last. */
static void retry(struct object_edit *e, const struct kube_answer *a, int64_t pause_ns) {
    e->maybe |= a->unknown;
    int64_t give_up = e->give_up_ns + (e->maybe ? e->base.act->for_ns : 0);
    if (loop_now() + pause_ns < give_up && e->rounds < ROUNDS_MOST)
        timer_after(e->base.timer, pause_ns);
    else
        object_refused(e->base.act, e->maybe ? -EINPROGRESS : -EIO, "%s", a->why);
}

/* True: the answer was none, or none that lets the edit go on, and is dealt with. */
static bool in_trouble(struct object_edit *e, const struct kube_answer *a) {
    switch (a->trouble) {
    case KUBE_OK:
        return false;
    case KUBE_NOT_FOUND:
        object_refused(e->base.act, -EBUSY, "%s is gone", e->title);
        return true;
    case KUBE_CONFLICT: /* it changed since it was read */
        e->rounds++;
        retry(e, a, ROUND_NS);
        return true;
    case KUBE_FORBIDDEN:
    case KUBE_INVALID:
    case KUBE_LOCAL:
        object_refused(e->base.act, -EIO, "%s", a->why);
        return true;
    default:
        retry(e, a, kube_pause_ns(client(e), ++e->rounds));
        return true;
    }
}

static void effective(struct object_edit *e, const struct kube_answer *a) {
    struct fault_act *act = e->base.act;
    e->in = true;
    act->told = object_told(a);
    json_t *more = e->more ? e->more(e) : NULL;
    json_object_update_missing(act->told, more);
    json_decref(more);
    timer_after(e->base.timer, 1);
    act->in_effect(act, 0, NULL);
}

static void on_patched(const struct kube_answer *a, void *arg) {
    struct object_edit *e = arg;
    e->base.call = NULL;
    e->maybe |= a->unknown;
    if (e->leaving)
        undo(e);
    else if (!in_trouble(e, a))
        effective(e, a);
}

static void on_read(const struct kube_answer *a, void *arg) {
    struct object_edit *e = arg;
    struct error why;
    e->base.call = NULL;
    if (e->leaving) {
        undo(e);
        return;
    }
    if (in_trouble(e, a))
        return;
    if (strcmp(json_str_or(json_object_get(a->json, "metadata"), "uid", ""), e->uid) != 0) {
        object_refused(e->base.act, -EBUSY, "%s is another one by now", e->title);
        return;
    }
    if (e->ours(e, a->json)) { /* an earlier try, whose answer was lost */
        effective(e, a);
        return;
    }
    cleanup_json json_t *patch = e->patch(e, a->json, &why);
    struct kube_request r = {.verb = "patch", .body = patch, .content_type = "application/merge-patch+json", .repeat = true};
    if (patch)
        ask(e, &r, on_patched);
    else
        object_refused(e->base.act, -EBUSY, "%s", why.text);
}

static void read_object(struct object_edit *e) {
    struct kube_request r = {.verb = "get"};
    ask(e, &r, on_read);
}

static void turn(struct object_act *o) {
    struct object_edit *e = (struct object_edit *)o;
    struct timer *timer = e->base.timer;
    if (!e->in)
        read_object(e);
    else if (e->look && e->look(e))
        timer_after(timer, OBJECT_POLL_NS);
}

int object_edit_start(struct fault_act *a, const struct pod *victim, struct error *err) {
    (void)victim;
    (void)err;
    struct object_edit *e = a->own;
    e->give_up_ns = loop_now() + OBJECT_ASK_NS;
    timer_at(e->base.timer, 1); /* nothing is told from within inject */
    return FAULT_LATER;
}

/* --- and out of it --- */

static void on_undone(int rc, const char *text, void *arg) {
    struct object_edit *e = arg;
    struct fault_act *a = e->base.act;
    e->undo = NULL;
    if (rc < 0)
        a->revert_failed(a, text);
    else
        a->reverted(a, *text ? text : NULL, NULL);
}

static int undo_start(struct object_edit *e, struct error *err) {
    const struct fault_act *a = e->base.act;
    const struct kubernetes_undo_spec s = {.kind = e->kind, .namespace = e->namespace, .name = e->name, .uid = e->uid,
                                           .change = {.run = a->env->run, .id = a->id, .field = e->field, .from = e->from, .to = e->to},
                                           .late = e->maybe && !e->in, .done = on_undone, .arg = e};
    return kubernetes_undo_start(client(e), &s, &e->undo, err);
}

static void undo(struct object_edit *e) {
    struct error err;
    if (undo_start(e, &err) < 0)
        e->base.act->revert_failed(e->base.act, err.text);
}

/* A patch under way is waited for: given up, it might still arrive after the object was looked at. */
int object_edit_revert(struct fault_act *a, struct error *err) {
    struct object_edit *e = a->own;
    timer_stop(e->base.timer);
    e->leaving = e->base.call;
    return e->leaving ? 0 : undo_start(e, err);
}

int object_edit_undo(struct fault_act *a, const char *what, json_t **ret, struct error *err) {
    const struct object_edit *e = a->own;
    *ret = json_pack("{s:s, s:o, s:s, s:s*, s:s, s:s, s:s, s:I, s:s, s:s*, s:O*, s:O*}", "kind", "kube-patch", "access", kubernetes_access(a->env->cluster),
                     "resource", e->kind->resource, "namespace", *e->namespace ? e->namespace : NULL, "name", e->name, "uid", e->uid, "run",
                     a->env->run, "id", (json_int_t)a->id, "what", what, "field", e->field, "from", e->from, "to", e->to);
    return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* --- with a mark --- */

void object_edit_holds(struct object_edit *e, const char *field, json_t *from, json_t *to) {
    e->field = field;
    e->from = from;
    e->to = to;
}

/* True: the object carries a mark, or what somebody left of one; says whose, and what to do about it. */
static bool is_marked(const struct object_edit *e, const json_t *object, struct error *why) {
    char run[OBJECT_NAME_SIZE];
    if (!kubernetes_mark_run(object, run, sizeof run))
        return false;
    cleanup_json json_t *mark = kubernetes_mark(object);
    const char *whose = *run ? run : "?";
    const bool label = *json_str_or(json_at(object, "metadata.labels"), CHAOSD_UNDO_LABEL, "");
    if (!mark)
        error_set(why, 0, "%s carries a change of run %s by its label %s, but no annotation that says how it was before: `chaosd revert` where "
                  "that run ran, or see to it by hand and take label and annotation out", e->title, whose, CHAOSD_UNDO_LABEL);
    else if (!label)
        error_set(why, 0, "%s has the annotation %s of run %s without its label: somebody took that out; see to it by hand, then take the "
                  "annotation out", e->title, CHAOSD_UNDO_ANNOTATION, whose);
    else if (strcmp(run, e->base.act->env->run) == 0)
        error_set(why, 0, "%s is under a fault of this run already, which is not undone yet: see its annotation %s", e->title,
                  CHAOSD_UNDO_ANNOTATION);
    else
        error_set(why, 0, "%s carries a change of run %s, which is not undone: `chaosd revert --cluster` does it, after its deadline", e->title,
                  whose);
    return true;
}

json_t *object_marked_patch(struct object_edit *e, const json_t *object, struct error *why) {
    const struct fault_act *a = e->base.act;
    if (is_marked(e, object, why))
        return NULL;
    const struct kubernetes_change c = {.run = a->env->run, .fault = a->spec->name, .kind = a->spec->kind.kind->name, .id = a->id,
                                        .deadline_s = (clock_wall_ns() + a->for_ns) / NS_PER_S + 1, .field = e->field, .to = e->to};
    json_t *patch = kubernetes_change_patch(object, &c);
    if (!patch)
        error_set(why, 0, "out of memory");
    return patch;
}

bool object_marked_ours(const struct object_edit *e, const json_t *object) {
    cleanup_json json_t *mark = kubernetes_mark(object);
    return kubernetes_mark_is(mark, e->base.act->env->run, e->base.act->id);
}

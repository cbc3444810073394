/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a held fault changes on an object of the API server, and how it is put back: by the fault itself, by the journal's record, by the
 * reaper, by a sweep. All four are one thing: read the object, and send the patch that its annotation holds, if it is still ours and the
 * field is still as we set it. What somebody else changed meanwhile stays; only our marks go then. A mark that somebody took out (`kubectl
 * rollout undo` replaces a Deployment's annotations) undoes nothing: field, from and to are kept by the act and by the record themselves.
 * A Deployment's controller copies annotations to its ReplicaSets and never takes them back there, so that copies are taken out here. */
#include "cluster/kubernetes.h"

struct kubernetes_change {
    const char *run, *fault, *kind; /* the run's short id, the fault's name and kind */
    int64_t id, deadline_s;         /* the act's; wall clock */
    const char *field;              /* of spec: "replicas", "unschedulable" */
    const json_t *to;
};

/* --- pure --- */

/* A merge patch on the object as it was read (its resourceVersion goes along, so that one that changed meanwhile is a conflict): field,
 * annotation and label at once. New reference; NULL: out of memory. */
json_t *kubernetes_change_patch(const json_t *object, const struct kubernetes_change *c);
/* The object's annotation, parsed; NULL: none, or it is not understood. New reference. */
json_t *kubernetes_mark(const json_t *object);
/* Carries the object annotation or label? run: whose, by the label, else by the annotation; "" where it does not say. */
bool kubernetes_mark_run(const json_t *object, char *run, size_t size);
bool kubernetes_mark_is(const json_t *mark, const char *run, int64_t id);

struct kubernetes_changed { /* an act's change, as the act and the record know it without the mark */
    const char *run;
    int64_t id;
    const char *field;       /* NULL: only the mark says it */
    const json_t *from, *to; /* from NULL: it was not there */
};

enum kubernetes_undo_plan {
    KUBERNETES_UNDO_ABSENT,  /* no mark, and the field is not changed: undone already, or never done */
    KUBERNETES_UNDO_NOTHING, /* another's by now, or changed by somebody else, which stays: the object changed since ours */
    KUBERNETES_UNDO_ALL,     /* the field, and our marks */
    KUBERNETES_UNDO_LOST,    /* the mark is gone, the change is not: the field, from the record */
    KUBERNETES_UNDO_MARKS,   /* our marks; the field stays */
    KUBERNETES_UNDO_UNCLEAR, /* the annotation is not as chaosd writes it, or it is gone and nobody knows what it said */
};
/* What undoes this act on the object as it was read: *ret a JSON patch, a new reference, NULL for none. note: what is found there, or of
 * UNCLEAR what is wrong; else "". */
enum kubernetes_undo_plan kubernetes_undo_plan(const json_t *object, const struct kubernetes_changed *c, json_t **ret, char *note, size_t size);

/* --- on the loop --- */

struct kubernetes_undo;
struct kubernetes_undo_spec {
    const struct kube_kind *kind;
    const char *namespace, *name, *uid; /* namespace NULL: of none; uid NULL: whichever. Copied, as the run */
    struct kubernetes_changed change;   /* copied; from and to by reference */
    /* Its patch may still be under way: before it is said to be undone, the object is changed (a label, in and out), which makes a patch
     * of what was read earlier a conflict. */
    bool late;
    int64_t limit_ns;                   /* tries in all, with growing pauses; 0: KUBERNETES_UNDO_LIMIT_NS */
    /* rc 0: undone, text is "" or what was found; else why not. The undo is over and freed. */
    void (*done)(int rc, const char *text, void *arg);
    void *arg;
};
#define KUBERNETES_UNDO_LIMIT_NS (60 * NS_PER_S)
#define CHAOSD_TOUCH_LABEL "chaosd.io/touch" /* no annotation: a Deployment's controller would copy that */
int kubernetes_undo_start(struct kube *k, const struct kubernetes_undo_spec *s, struct kubernetes_undo **ret, struct error *err);
void kubernetes_undo_cancel(struct kubernetes_undo *u); /* NULL-safe; no callback follows */

/* --- the journal's record ---
 * {"kind":"kube-patch","access":{...},"resource":"deployments","namespace":"shop","name":"web","uid":"...","run":"ab12cd34","id":3,
 *  "what":"scale Deployment web back to 3","field":"replicas","from":3,"to":1}; with "patience_s":3600 it is tried for so long, else for
 * KUBERNETES_UNDO_LIMIT_NS. */
int undo_kube(const json_t *undo, struct error *err); /* as undo_apply */
void undo_kube_describe(const json_t *undo, char *out, size_t size);
/* {"kind":"node-fault","access":{...},"namespace":"chaosd-agent","name":"ab12cd34-3","run":"ab12cd34","what":"net-delay","pod":"web-1","node":"n2"};
 * "uid" where it is known. The object is deleted, which has its agent end what it holds; without an agent it ends by its deadline. */
int undo_node_fault(const json_t *undo, struct error *err);
void undo_node_fault_describe(const json_t *undo, char *out, size_t size);

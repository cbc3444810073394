/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The objects of one kind as the API server has them, followed: listed in pages, then watched from there; listed anew when the server
 * no longer knows the place, with what changed meanwhile told as changes. A connection that breaks is taken up where it was, with
 * growing pauses; one that is silent for too long counts as broken. */
#include "kube/client.h"
#include "kube/store.h"

struct kube_watch;

enum kube_news {
    KUBE_ADDED,
    KUBE_MODIFIED,
    KUBE_DELETED,
    KUBE_SYNCED,   /* all that there is has been told; again after each list */
    KUBE_TROUBLED, /* the server could not be followed; it is being tried again */
    KUBE_GAP,      /* it can be followed again: what was seen in between was seen late */
};
extern const char *const kube_news_names[]; /* "ADDED", ... */

struct kube_event {
    enum kube_news what;
    const struct kube_object *before,
        *object;     /* before: of MODIFIED and DELETED; object: NULL when it was found gone, else its last state */
    bool listed;     /* found by a list: it happened at some time before */
    int64_t seen_ns; /* when the first byte of the piece that held it was read */
    enum kube_trouble trouble; /* TROUBLED */
    const char *why;
    unsigned failures;         /* in a row */
    int64_t from_ns, to_ns;    /* GAP: the last sign of life before, and the first after */
    bool relisted;             /* GAP: what came and went in between was never seen */
};

struct kube_watch_spec {
    const struct kube_kind *kind;
    const char *version;        /* of its group; NULL: the newest that is understood */
    const char *namespace;      /* NULL: all */
    const char *label_selector, *field_selector; /* applied by the server; what leaves the selection is told as deleted. NULL: none */
    const char *const *annotations; /* keys to keep, ends with NULL; NULL: none */
    unsigned page;              /* objects a page; 0: 500 */
    int64_t idle_ns;            /* silence, bookmarks included, after which it is taken up anew; 0: 150 s (a bookmark comes each minute) */
    void (*told)(const struct kube_event *e, void *arg); /* may free the watch */
    void *arg;
};

/* Texts of the spec are copied, kind and version apart. */
int kube_watch_start(struct kube *k, const struct kube_watch_spec *spec, struct kube_watch **ret, struct error *err);
void kube_watch_free(struct kube_watch *w); /* NULL-safe */
const struct kube_store *kube_watch_store(const struct kube_watch *w);
bool kube_watch_synced(const struct kube_watch *w);        /* listed, and being watched just now */
int64_t kube_watch_seen_ns(const struct kube_watch *w);    /* the last sign of life; 0: none yet */

/* Pure, and what a fuzzer looks at: one line of a watch, parsed. */
enum kube_line { KUBE_LINE_ADDED, KUBE_LINE_MODIFIED, KUBE_LINE_DELETED, KUBE_LINE_BOOKMARK, KUBE_LINE_ERROR };
/* *ret_object is borrowed from event. -EPROTO: it is no watch's line. */
int kube_line_read(const json_t *event, enum kube_line *ret, const json_t **ret_object, struct error *err);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Texts, sets of pairs and owners that many objects share, kept once and counted: 100,000 pods have some thousand sets of labels. What
 * is equal is the same pointer. An entry goes with its last holder, so that days of rollouts leave nothing behind. */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct intern;

struct kube_pair { const char *key, *value; };
struct kube_pairs { /* sorted by key */
    size_t count;
    struct kube_pair items[];
};
struct kube_owner { const char *kind, *name, *uid, *group; /* apps, batch; "": core */ };

struct intern *intern_new(void); /* NULL: out of memory */
void intern_free(struct intern *in); /* whatever is still held; NULL-safe */
size_t intern_count(const struct intern *in);

/* Each takes a hold, to be given back by the release below. NULL: out of memory. */
const char *intern_text(struct intern *in, const char *text);
/* Of a JSON object of strings; what is no string is left out. object NULL: the empty set. */
const struct kube_pairs *intern_pairs(struct intern *in, const json_t *object);
const struct kube_owner *intern_owner(struct intern *in, const struct kube_owner *o);
void intern_release(struct intern *in, const void *held); /* NULL-safe */

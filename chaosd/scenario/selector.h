/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which pods: the rows, and the chain of pure filters. Field names are Chaos Mesh's. */
#include "base/buf.h"
#include "base/rng.h"
#include "scenario/schema.h"

enum select_mode { MODE_ONE, MODE_ALL, MODE_FIXED, MODE_FIXED_PERCENT, MODE_RANDOM_MAX_PERCENT };

struct expression { const char *key; int op; struct strings values; };
enum expression_op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_DOES_NOT_EXIST };
struct owner_selector { const char *kind, *name; }; /* name NULL: any */

struct selector {
    struct strings namespaces;
    struct pairs label_selectors, field_selectors, annotation_selectors;
    struct list expression_selectors; /* struct expression */
    struct strings nodes, pods;
    struct list owners;  /* struct owner_selector; one of them is among the pod's */
    int64_t min_age_ns;  /* 0: any age */
    struct ints phases;  /* indices into select_phase_names; none: any */
    const struct selector *exclude; /* who matches it is out; without exclude and role of its own. NULL: nobody */
    const char *role; /* NULL: any; "!leader": one who has not got it while another has */
};
static inline bool selector_role_negated(const struct selector *s) { return s->role && s->role[0] == '!'; }
static inline const char *selector_role_name(const struct selector *s) { return selector_role_negated(s) ? s->role + 1 : s->role; }
extern const struct shape selector_shape;
extern const char *const select_phase_names[]; /* as in struct candidate; NULL-terminated */

/* selector + mode + value, embedded by every fault kind that takes pods. */
struct pod_target {
    struct selector *selector;
    int mode; /* enum select_mode */
    const char *value; /* "2", "50%" */
    int64_t fixed;     /* filled by pod_target_check from value */
    int64_t ppm;
};
#define POD_TARGET_FIELDS(owner, at)                                                                                              \
    {.name = "selector", .type = F_OBJECT, .offset = offsetof(owner, at.selector), .required = true, .shape = &selector_shape,   \
     .doc = "Which pods are candidates."},                                                                                           \
        {.name = "mode", .type = F_ENUM, .offset = offsetof(owner, at.mode), .def = "one", .values = select_mode_names,           \
         .doc = "How many of the candidates: one, all, fixed (value: N), fixed-percent or random-max-percent (value: \"N%\")."},     \
        {.name = "value", .type = F_STRING, .offset = offsetof(owner, at.value), .doc = "The mode's number or percentage."}
extern const char *const select_mode_names[];
int pod_target_check(struct pod_target *t, const struct schema_at *at, struct error *err);

/* Who made a pod, the nearest first: {ReplicaSet, web-5d8}, {Deployment, web}. */
enum { POD_OWNERS_MOST = 3 };
struct pod_owners { size_t count; struct { const char *kind, *name, *uid; } items[POD_OWNERS_MOST]; };

/* A candidate as filters see it; pointers are borrowed. */
struct candidate {
    const char *uid, *name, *namespace, *node, *phase;
    const json_t *labels, *annotations; /* objects of strings, or NULL */
    const struct pod_owners *owners;    /* the nearest first; NULL: none */
    int64_t created_s;                  /* wall clock; 0: not known */
    int64_t now_s;                      /* wall clock of this look at it, by which its age counts; 0: not known, and minAge is not asked */
    bool of_node;                       /* a static pod, which has no object of its own */
    const void *tag;                    /* the caller's */
};

/* Keeps what matches (role aside: that takes a probe), sorted by namespace, name, uid. Returns the new count. */
size_t selector_filter(const struct selector *s, struct candidate *list, size_t count);
bool selector_matches(const struct selector *s, const struct candidate *c);
/* Could it match at some time of the pod's life? What life brings is left aside: phase, age, and the node until it has one. */
bool selector_may_match(const struct selector *s, const struct candidate *c);
/* What it asks for, as words: "labels app=web, owner Deployment/web, in namespaces shop, pay". */
void selector_say(const struct selector *s, struct buf *out);
/* Draws victims from sorted candidates: a partial Fisher-Yates shuffle seeded by draw alone. Percentages round down but
 * never to 0 of a non-empty list for fixed-percent; random-max-percent may draw 0. Returns the number; the first so many of list. */
size_t selector_draw(const struct pod_target *t, uint64_t draw, struct candidate *list, size_t count);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by config.c (which files, which context), config_entry.c (values of an entry) and config_user.c (who we are). */
#include "base/arena.h"
#include "kube/config.h"
#include "scenario/doc.h"

struct source { /* a kubeconfig file */
    struct doc *doc; /* NULL: it holds nothing */
    char *path, *dir;
};

struct sources {
    struct source *items;
    size_t count;
};

/* A named entry of a file: a cluster, a context or a user. */
struct entry {
    const struct source *source;
    const char *what, *name; /* "cluster", "lab" */
    const json_t *body;
    char path[64]; /* its JSON pointer */
};

/* The owner of all memory that a kube_config points to, which is its first member. */
struct loaded {
    struct kube_config config;
    struct arena *arena;
};

int entry_find(const struct sources *s, const char *list, const char *what, const char *name, struct entry *ret, struct error *err);
/* NULL when it is absent, null or "". -EINVAL: no text. */
int entry_text(const struct entry *e, struct arena *a, const char *key, const char **ret, struct error *err);
int entry_flag(const struct entry *e, const char *key, bool *ret, struct error *err);
/* KEY-data (base64), else the file that KEY names, looked up from the kubeconfig's folder. NULL: neither. mark: what PEM has to hold. */
int entry_pem(const struct entry *e, struct arena *a, const char *key, const char *mark, const char **ret, struct error *err);
const char *entry_path(const struct entry *e, struct arena *a, const char *path); /* NULL: out of memory */
int entry_bad(const struct entry *e, const char *key, struct error *err, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* A file's text; PEM when mark is given. */
int config_file(struct arena *a, const char *path, const char *mark, const char **ret, struct error *err);

int config_user(const struct entry *e, struct arena *a, struct kube_user *ret, struct error *err);
int config_in_pod(const char *dir, struct arena *a, struct kube_config *ret, struct error *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd revert: undoes what a dead run left, from its journal; network faults from the kernel alone, and what was changed on the objects
 * of a Kubernetes from those alone. */
#include "agent/reapers.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "cluster/kubernetes.h"
#include "cluster/netns.h"
#include "cluster/undo.h"
#include "cmd.h"
#include "history/journal.h"

#include "netem.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct options {
    bool all, force, cluster;
    const char *kubeconfig, *context;
};

static const struct option_row rows[] = {
    {"all", 'a', OPT_FLAG, offsetof(struct options, all), NULL, "Every run that left something on this machine."},
    {"force", 0, OPT_FLAG, offsetof(struct options, force), NULL, "Also of a run that is alive; with --cluster: also before its deadline."},
    {"cluster", 0, OPT_FLAG, offsetof(struct options, cluster), NULL,
     "What any run, from anywhere, left on the objects of a Kubernetes and is past its deadline."},
    {"kubeconfig", 0, OPT_STRING, offsetof(struct options, kubeconfig), "FILE",
     "With --cluster: instead of $KUBECONFIG or ~/.kube/config."},
    {"context", 0, OPT_STRING, offsetof(struct options, context), "NAME", "With --cluster: instead of the current one."},
    {0},
};

enum { BATCH = 256 };

static int undo_all(struct journal *j, const char *run, struct error *err) {
    int64_t ids[BATCH];
    const json_t *undos[BATCH];
    int worst = 0;
    size_t n = journal_pending(j, ids, undos, BATCH);
    for (size_t i = 0; i < n; i++) {
        char what[256];
        struct error one;
        undo_describe(undos[i], what, sizeof what);
        int rc = undo_apply(undos[i], &one);
        bool noted = rc > 0;
        if (rc >= 0)
            rc = journal_done(j, ids[i], noted ? NULL : &one);
        if (rc < 0) {
            fprintf(stderr, "chaosd: %s: %s: %s\n", run, what, one.text);
            worst = error_set(err, -EIO, "%s", one.text); /* -ENOENT says that there is no such journal */
        } else {
            printf("%s: %s%s%s\n", run, what, noted ? ": " : "", noted ? one.text : "");
        }
    }
    return worst == 0 && n == BATCH ? undo_all(j, run, err) : worst;
}

static int revert_run(const char *run, bool force, struct error *err) {
    struct journal *j = NULL;
    int rc = journal_reopen(run, force, &j, err);
    if (rc < 0)
        return rc;
    rc = undo_all(j, run, err);
    int closed = journal_close(j, rc < 0 ? NULL : err);
    return rc < 0 ? rc : closed;
}

/* --- network faults, found in the kernel itself: the journal may be lost --- */

struct sweep {
    const char *run;   /* NULL: every run's */
    size_t swept, kept, failed;
};

/* A run of which somebody has the classifier open is alive, whatever folder its journal is in. */
static int sweep_owner(struct sweep *s, const struct netns *at, const struct netem_owner *o, struct error *err) {
    if (s->run && strcmp(s->run, o->run) != 0)
        return 0;
    if (o->pid) {
        s->kept++;
        printf("%s: network faults in %s are left: process %d holds them\n", o->run, at->said, o->pid);
        return 0;
    }
    int rc = undo_netem_run(at->path, o->run, 5 * NS_PER_S, err);
    if (rc < 0)
        return error_wrap(err, rc, "%s", at->said);
    s->swept++;
    printf("%s: end its network faults in %s\n", *o->run ? o->run : "(unnamed)", at->said);
    return 0;
}

static void sweep_one(struct sweep *s, const struct netns *at) {
    char why[NETEM_ERROR_SIZE];
    struct netem_ns *ns = NULL;
    struct error err;
    cleanup_free struct netem_owner *owners = NULL;
    int rc = netem_ns_open(NULL, netns_to_open(at->path), &ns, why), n = 0;
    if (rc == 0)
        rc = n = netem_owners(ns, &owners, why);
    netem_ns_close(ns);
    if (rc < 0)
        error_set(&err, rc, "%s: %s", at->said, why);
    for (int i = 0; i < n && rc >= 0; i++)
        rc = sweep_owner(s, at, &owners[i], &err);
    if (rc < 0 && rc != -ENOENT) { /* the namespace went meanwhile */
        s->failed++;
        fprintf(stderr, "chaosd: %s\n", err.text);
    }
}

static void sweep_all(struct sweep *s) {
    struct error err;
    cleanup_free struct netns *all = NULL;
    int n = netns_all(&all, &err);
    for (int i = 0; i < n; i++)
        sweep_one(s, &all[i]);
    if (n < 0) {
        s->failed++;
        fprintf(stderr, "chaosd: %s\n", err.text);
    }
}

/* --- containers that a node's agent froze, found by its reapers --- */

static void sweep_reaper(struct sweep *s, const struct reaper_seen *r) {
    struct error err;
    char what[256];
    undo_describe(r->undo, what, sizeof what);
    if (r->agent) {
        s->kept++;
        if (r->agent > 0)
            printf("agent: %s: left, process %d holds it\n", what, (int)r->agent);
        else
            printf("agent: %s: left, an agent in another pid namespace may hold it\n", what);
        return;
    }
    int rc = undo_apply(r->undo, &err);
    if (rc >= 0)
        rc = reaper_seen_end(r, &err);
    if (rc < 0) {
        s->failed++;
        fprintf(stderr, "chaosd: agent: %s: %s\n", what, err.text);
    } else {
        s->swept++;
        printf("agent: %s\n", what);
    }
}

static void sweep_reapers(struct sweep *s) {
    struct error err;
    struct reaper_seen *list = NULL;
    int n = reapers_seen(&list, &err);
    for (int i = 0; i < n; i++)
        sweep_reaper(s, &list[i]);
    if (n < 0) {
        s->failed++;
        fprintf(stderr, "chaosd: %s\n", err.text);
    }
    reapers_free(list, n > 0 ? (size_t)n : 0);
}

static int revert_all(bool force) {
    struct error err;
    char **runs = NULL;
    size_t n = 0, failed = 0;
    struct sweep s = {0};
    if (journal_runs(&runs, &n, &err) < 0)
        return fail(EXIT_INTERNAL, &err);
    for (size_t i = 0; i < n; i++) {
        if (revert_run(runs[i], force, &err) < 0) {
            failed++;
            fprintf(stderr, "chaosd: %s\n", err.text);
        }
        free(runs[i]);
    }
    free(runs);
    if (geteuid() == 0) {
        sweep_all(&s);
        sweep_reapers(&s);
    }
    if (n == 0 && s.swept + s.kept + s.failed == 0)
        printf("nothing to revert\n");
    return failed + s.failed ? EXIT_FAIL : EXIT_PASS;
}

/* --- objects of a Kubernetes, found by their label --- */

struct cluster_sweep {
    bool done;
    size_t counts[KUBERNETES_UNSEEN + 1];
};

static void on_swept(enum kubernetes_swept what, const char *line, void *arg) {
    struct cluster_sweep *c = arg;
    const bool bad = what == KUBERNETES_STUCK || what == KUBERNETES_UNSEEN;
    c->counts[what]++;
    fprintf(bad ? stderr : stdout, "%s%s%s\n", bad ? "chaosd: " : "", what == KUBERNETES_UNSEEN ? "not looked for: " : "", line);
}

static void on_sweep_done(void *arg) { ((struct cluster_sweep *)arg)->done = true; }

static int sweep_cluster(struct kubernetes_session *session, bool force) {
    struct error err;
    struct cluster_sweep c = {0};
    struct kubernetes_sweep *s = NULL;
    const struct kubernetes_sweep_spec spec = {.all = force, .told = on_swept, .done = on_sweep_done, .arg = &c};
    int rc = kubernetes_sweep_start(kubernetes_session_client(session), &spec, &s, &err);
    if (rc == 0 && (rc = kubernetes_session_wait(session, &c.done, INT64_MAX / 2, &err)) < 0)
        kubernetes_sweep_cancel(s);
    if (rc < 0)
        return fail(EXIT_INTERNAL, &err);
    const bool blind = c.counts[KUBERNETES_UNSEEN] >= KUBERNETES_SWEEP_KINDS;
    if (c.counts[KUBERNETES_SWEPT] + c.counts[KUBERNETES_KEPT] + c.counts[KUBERNETES_STUCK] == 0 && !blind)
        printf("nothing to revert\n");
    return c.counts[KUBERNETES_STUCK] || blind ? EXIT_FAIL : EXIT_PASS;
}

static int revert_cluster(const struct options *o) {
    struct error err;
    struct kubernetes_session *session = NULL;
    cleanup_json json_t *access = json_pack("{s:s*, s:s*}", "kubeconfig", o->kubeconfig, "context", o->context);
    if (kubernetes_session_open(access, &session, &err) < 0)
        return fail(EXIT_USAGE, &err);
    int code = sweep_cluster(session, o->force);
    kubernetes_session_close(session);
    return code;
}

/* A run's name, or its folder, whose history says the name. */
static void name_of(const char *word, char *ret, size_t size) {
    char path[4096];
    snprintf(path, sizeof path, "%s/history.jsonl", word);
    cleanup_fclose FILE *f = fopen(path, "re");
    cleanup_json json_t *header = f ? json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    snprintf(ret, size, "%s", json_str_or(header, "run", word));
}

static int main_revert(int argc, char **argv) {
    struct options o = {0};
    struct error err;
    int first, code = options_parse(&command_revert, argc, argv, &o, &first);
    if (code)
        return code - 1;
    if (o.all + o.cluster + (first < argc) != 1) {
        error_set(&err, 0, "revert wants either a run, or --all, or --cluster");
        return fail(EXIT_USAGE, &err);
    }
    if (!o.cluster && (o.kubeconfig || o.context)) {
        error_set(&err, 0, "--kubeconfig and --context go with --cluster: a run's own journal knows its cluster");
        return fail(EXIT_USAGE, &err);
    }
    if (o.cluster)
        return revert_cluster(&o);
    if (geteuid() != 0 && access(journal_state_dir(), W_OK) < 0) {
        error_set(&err, 0, "revert needs root: what a run left are namespaces, processes and cgroups");
        return fail(EXIT_USAGE, &err);
    }
    if (o.all)
        return revert_all(o.force);
    char run[256];
    name_of(argv[first], run, sizeof run);
    int rc = revert_run(run, o.force, &err);
    if (rc == -ENOENT) {
        struct sweep s = {.run = run};
        if (geteuid() == 0)
            sweep_all(&s);
        if (s.swept + s.kept + s.failed == 0)
            printf("%s: nothing to revert\n", run);
        return s.failed ? EXIT_FAIL : EXIT_PASS;
    }
    return rc < 0 ? fail(EXIT_FAIL, &err) : EXIT_PASS;
}

const struct command command_revert = {
    .name = "revert", .args = "RUN | --all | --cluster", .min_args = 0, .max_args = 1, .options = rows, .run = main_revert,
    .doc = "Undoes what a killed run left behind.",
    .more = "Works from the undo journal in /var/lib/chaosd (or $CHAOSD_STATE_DIR). A run that is alive is refused.\n"
            "Network faults are also found without it, in every namespace of this machine that can be seen, and so are containers\n"
            "that a node's agent froze. On a node, --all ends what a dead agent left, and --force, in the agent's container, what a living one holds.\n"
            "--cluster looks at deployments, statefulsets, replicasets and nodes: what a fault holds there carries its own undoing and deadline;\n"
            "and deletes NodeFaults, a minute after theirs.",
};

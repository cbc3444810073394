/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd revert: undoes what a dead run left, from its journal alone. */
#include "base/cleanup.h"
#include "base/json.h"
#include "cluster/undo.h"
#include "cmd.h"
#include "history/journal.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct options {
    bool all, force;
};

static const struct option_row rows[] = {
    {"all", 'a', OPT_FLAG, offsetof(struct options, all), NULL, "Every run that left something on this machine."},
    {"force", 0, OPT_FLAG, offsetof(struct options, force), NULL, "Also of a run that is alive."},
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
        if (rc == 0)
            rc = journal_done(j, ids[i], &one);
        if (rc < 0) {
            fprintf(stderr, "chaosd: %s: %s: %s\n", run, what, one.text);
            worst = error_set(err, rc, "%s", one.text);
        } else {
            printf("%s: %s\n", run, what);
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

static int revert_all(bool force) {
    struct error err;
    char **runs = NULL;
    size_t n = 0, failed = 0;
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
    if (n == 0)
        printf("nothing to revert\n");
    return failed ? EXIT_FAIL : EXIT_PASS;
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
    if (o.all == (first < argc)) {
        error_set(&err, 0, "revert wants either a run or --all");
        return fail(EXIT_USAGE, &err);
    }
    if (geteuid() != 0) {
        error_set(&err, 0, "revert needs root: what a run left are namespaces, processes and cgroups");
        return fail(EXIT_USAGE, &err);
    }
    if (o.all)
        return revert_all(o.force);
    char run[256];
    name_of(argv[first], run, sizeof run);
    int rc = revert_run(run, o.force, &err);
    if (rc == -ENOENT) {
        printf("%s: nothing to revert\n", run);
        return EXIT_PASS;
    }
    return rc < 0 ? fail(EXIT_FAIL, &err) : EXIT_PASS;
}

const struct command command_revert = {
    .name = "revert", .args = "RUN | --all", .min_args = 0, .max_args = 1, .options = rows, .run = main_revert,
    .doc = "Undoes what a killed run left behind.",
    .more = "Works from the undo journal in /var/lib/chaosd (or $CHAOSD_STATE_DIR). A run that is alive is refused.",
};

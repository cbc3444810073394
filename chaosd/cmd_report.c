/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd report: judges a stored run again, with no cluster at hand. */
#include "base/cleanup.h"
#include "cmd.h"
#include "report/report.h"
#include "report/series.h"
#include "terminal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct options {
    const char *format;
    bool json, mixed;
};

static const struct option_row rows[] = {
    {"format", 'f', OPT_STRING, offsetof(struct options, format), "KIND", "What is printed: text (default), json, junit, html or markdown."},
    {"json", 0, OPT_FLAG, offsetof(struct options, json), NULL, "The same as --format=json."},
    {"mixed", 0, OPT_FLAG, offsetof(struct options, mixed), NULL, "Takes runs of different scenarios together, which is refused otherwise."},
    {0},
};

/* A folder, or the name of one in runs/. */
static const char *find_run(const char *run, char *path) {
    if (strchr(run, '/') || access(run, F_OK) == 0 || snprintf(path, PATH_MAX, "runs/%s", run) >= PATH_MAX || access(path, F_OK) < 0)
        return run;
    return path;
}

static int render(const char *dir, const struct report_kind *k, struct error *err) {
    struct history *h = NULL;
    struct judgement *j = NULL;
    cleanup_buf struct buf text = {0};
    int code = EXIT_INTERNAL, rc = history_load(dir, &h, err);
    if (rc < 0)
        code = EXIT_USAGE;
    else if ((rc = judge(h, &j, err)) == 0 && (rc = k->render(j, &text, err)) == 0) {
        fwrite(text.data, 1, text.len, stdout);
        code = verdict_exit_code(j->verdict);
        rc = report_write_all(j, err);
        if (rc == -EROFS || rc == -EACCES) { /* an artefact store: the verdict is what was asked for */
            fprintf(stderr, "chaosd: the reports were not written anew: %s\n", err->text);
            rc = 0;
        } else if (rc < 0) {
            code = EXIT_INTERNAL;
        }
    }
    judgement_free(j);
    history_free(h);
    return rc < 0 ? fail(code, err) : code;
}

static int add_run(struct series *s, const char *dir, bool mixed, struct error *err) {
    struct history *h = NULL;
    struct judgement *j = NULL;
    int rc = history_load(dir, &h, err);
    if (rc == 0 && (rc = judge(h, &j, err)) == 0)
        rc = series_add(s, dir, j, mixed, err);
    judgement_free(j);
    history_free(h);
    return rc;
}

static void series_freep(struct series **s) { series_free(*s); }

/* Several runs together: nothing is written, their own reports stay as they are. */
static int together(char **runs, size_t count, const struct options *o, bool json, struct error *err) {
    cleanup(series_freep) struct series *s = series_new(count);
    cleanup_buf struct buf out = {0};
    char path[PATH_MAX];
    int rc = s ? 0 : error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = add_run(s, find_run(runs[i], path), o->mixed, err);
    if (rc < 0)
        return fail(rc == -ENOMEM ? EXIT_INTERNAL : EXIT_USAGE, err);
    rc = series_conclude(s, err);
    if (rc == 0)
        rc = json ? series_json(s, &out, err) : series_text(s, terminal_width(100), &out, err);
    if (rc < 0)
        return fail(EXIT_INTERNAL, err);
    fwrite(out.data, 1, out.len, stdout);
    return verdict_exit_code(s->verdict);
}

static int main_report(int argc, char **argv) {
    struct options o = {0};
    struct error err;
    int first, code = options_parse(&command_report, argc, argv, &o, &first);
    if (code)
        return code - 1;
    const char *format = o.json ? "json" : o.format ? o.format : "text";
    const struct report_kind *k = report_kind(format);
    if (!k) {
        error_set(&err, 0, "--format %s: there is no such report; expected text, json, junit, html or markdown", format);
        return fail(EXIT_USAGE, &err);
    }
    char path[PATH_MAX];
    if (argc - first <= 1)
        return render(first < argc ? find_run(argv[first], path) : "runs/latest", k, &err);
    if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0) {
        error_set(&err, 0, "--format %s: several runs together are shown as text or json", format);
        return fail(EXIT_USAGE, &err);
    }
    return together(argv + first, (size_t)(argc - first), &o, !strcmp(format, "json"), &err);
}

const struct command command_report = {
    .name = "report", .args = "[RUN...]", .min_args = 0, .max_args = -1, .options = rows, .run = main_report,
    .doc = "Judges a stored run again and writes its reports anew.",
    .more = "RUN is a run folder, or the name of one in runs/ (default: runs/latest). The exit code is the run's verdict.\n"
            "Several runs of one scenario are judged together: how many passed, how available each load was, how long recoveries\n"
            "take, with intervals. Nothing is written then, and the exit code is that of the worst: fail, inconclusive, aborted,\n"
            "skipped, pass, in this order.",
};

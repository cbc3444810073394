/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd run: plan, ask, carry out, judge, report. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/redact.h"
#include "check/judge.h"
#include "drill.h"
#include "live.h"
#include "progress.h"
#include "report/report.h"
#include "run.h"
#include "runs_index.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

struct options {
    struct drill_options drill;
    const char *out;
    bool yes, dry_run, strict, json, quiet, no_live;
};

static const struct option_row rows[] = {
    DRILL_OPTIONS(offsetof(struct options, drill)),
    {"out", 'o', OPT_STRING, offsetof(struct options, out), "DIR", "Run folder; new or empty (default: runs/<UTC time>-<scenario>)."},
    {"yes", 'y', OPT_FLAG, offsetof(struct options, yes), NULL, "Does not ask before the first act."},
    {"dry-run", 'n', OPT_FLAG, offsetof(struct options, dry_run), NULL, "Prints the plan and stops, as `chaosd plan` does."},
    {"strict", 0, OPT_FLAG, offsetof(struct options, strict), NULL, "Does not begin if this machine cannot do one of the faults; else that one is skipped."},
    {"json", 0, OPT_FLAG, offsetof(struct options, json), NULL, "Prints summary.json (or the plan) on standard output; progress goes to standard error."},
    {"quiet", 'q', OPT_FLAG, offsetof(struct options, quiet), NULL, "No live view and no progress lines."},
    {"no-live", 0, OPT_FLAG, offsetof(struct options, no_live), NULL, "Plain progress lines also on a terminal."},
    {0},
};

static int empty_folder(const char *dir, struct error *err) {
    DIR *d = opendir(dir);
    if (!d)
        return error_errno(err, "%s", dir);
    int entries = 0;
    struct dirent *e;
    while ((e = readdir(d)))
        entries += e->d_name[0] != '.';
    closedir(d);
    return entries ? error_set(err, -ENOTEMPTY, "%s: not empty; --out wants a new or empty folder, so that no run is overwritten", dir) : 0;
}

static void utc_stamp(char *out, size_t size) {
    time_t now = (time_t)(clock_wall_ns() / NS_PER_S);
    struct tm tm;
    strftime(out, size, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
}

/* Names the run for good: its journal must not meet another's, wherever their folders are. */
static int name_run(const struct options *o, const struct scenario *s, const char *dir, char *ret, size_t size, struct error *err) {
    char stamp[32];
    uint32_t random;
    utc_stamp(stamp, sizeof stamp);
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return error_errno(err, "getrandom");
    if (o->out)
        snprintf(ret, size, "%s-%s-%06x", stamp, s->name, random & 0xffffff);
    else
        snprintf(ret, size, "%s", strrchr(dir, '/') + 1);
    return 0;
}

static int make_folder(const struct options *o, const struct scenario *s, char *ret, size_t size, struct error *err) {
    char dir[PATH_MAX], stamp[32];
    utc_stamp(stamp, sizeof stamp);
    if (o->out)
        snprintf(dir, sizeof dir, "%s", o->out);
    else
        snprintf(dir, sizeof dir, "runs/%s-%s", stamp, s->name);
    for (int i = 2; !o->out && access(dir, F_OK) == 0 && i < 1000; i++)
        snprintf(dir, sizeof dir, "runs/%s-%s-%d", stamp, s->name, i);
    int rc = fs_mkdirs(dir, err);
    if (rc < 0 || (rc = empty_folder(dir, err)) < 0)
        return rc;
    char *real = realpath(dir, NULL);
    if (!real)
        return error_errno(err, "%s", dir);
    snprintf(ret, size, "%s", real);
    free(real);
    if (!o->out) {
        char link[64];
        snprintf(link, sizeof link, "runs/.latest%d", (int)getpid());
        unlink(link);
        if (symlink(dir + strlen("runs/"), link) == 0 && rename(link, "runs/latest") < 0)
            unlink(link);
    }
    return 0;
}

static bool agreed(void) {
    printf("\nCarry it out? [y/N] ");
    fflush(stdout);
    char line[16];
    return fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static int outcome_code(const struct run_outcome *out, enum verdict v) {
    if (out->left)
        return EXIT_FAIL;
    if (out->aborted && !out->tool_trouble && v != VERDICT_FAIL)
        return EXIT_ABORTED;
    if ((out->tool_trouble || out->never_ready) && v != VERDICT_FAIL)
        return EXIT_INCONCLUSIVE;
    return verdict_exit_code(v);
}

/* Last lines of the logs of a drill that never began: what a person would look up next. */
static void show_logs(const char *dir) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/logs", dir);
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char file[PATH_MAX + 300];
        cleanup_buf struct buf text = {0};
        snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && fs_read(file, 64 << 20, &text, NULL) == 0 && text.len) {
            char *p = text.data + text.len;
            for (int lines = 0; p > text.data && (lines += p[-1] == '\n') <= 5;)
                p--;
            fprintf(stderr, "--- last lines of %s\n", file);
            progress_print_safe(stderr, redact(p));
        }
        free(names[i]);
    }
    if (n >= 0)
        free(names);
}

static int judge_and_report(const char *dir, const struct options *o, const struct run_outcome *out, struct error *err) {
    struct history *h = NULL;
    struct judgement *j = NULL;
    int code = EXIT_INCONCLUSIVE, rc = history_load(dir, &h, err);
    if (rc == 0 && (rc = judge(h, &j, err)) == 0) {
        rc = report_write_all(j, err);
        cleanup_buf struct buf text = {0};
        struct error second;
        if (report_kind(o->json ? "json" : "text")->render(j, &text, &second) == 0)
            fwrite(text.data, 1, text.len, stdout);
        code = outcome_code(out, j->verdict);
    }
    if (rc < 0 && code != EXIT_FAIL) /* a report that could not be written does not undo a fail */
        code = out->left ? EXIT_FAIL : EXIT_INCONCLUSIVE;
    judgement_free(j);
    history_free(h);
    if (rc < 0)
        fprintf(stderr, "chaosd: %s\n", err->text);
    return code;
}

/* Into the index of its folder, where that is ours or has one: `chaosd runs` would find it anyway, only more slowly. */
static void remember(const char *dir, bool ours) {
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", dir);
    char *name = strrchr(parent, '/');
    if (name && name != parent) {
        *name++ = 0;
        runs_index_add(parent, name, ours);
    }
}

/* The run, watched: by the live view where there is a terminal for it, else by plain lines. */
static int execute(struct run_options *ro, const struct options *o, struct run_outcome *out, struct error *err) {
    FILE *to = o->json ? stderr : stdout;
    struct progress progress = {.out = to, .scenario = ro->scenario, .quiet = o->quiet};
    struct live *live = NULL;
    if (!o->quiet && !o->no_live && live_possible(to) && live_open(&live, to, ro->scenario, ro->plan, NULL) == 0) {
        ro->event = live_on_event;
        ro->sample = live_on_sample;
        ro->tick = live_on_tick;
        ro->arg = live;
    } else {
        ro->event = progress_event;
        ro->arg = &progress;
    }
    int rc = run_execute(ro, out, err);
    live_close(live);
    return rc;
}

static int carry_out(struct drill *d, const struct options *o, struct error *err) {
    char dir[PATH_MAX], name[NAME_MAX + 1];
    int rc = make_folder(o, d->scenario, dir, sizeof dir, err);
    if (rc == 0)
        rc = name_run(o, d->scenario, dir, name, sizeof name, err);
    if (rc < 0)
        return fail(EXIT_USAGE, err);
    struct run_outcome out;
    struct run_options ro = {.scenario = d->scenario, .plan = &d->plan, .unable = d->unable, .name = name, .dir = dir, .secrets = d->secrets,
                             .secret_count = d->secret_count};
    rc = execute(&ro, o, &out, err);
    if (rc < 0) {
        fail(EXIT_INTERNAL, err);
        if (out.refused && !out.left)
            return EXIT_USAGE;
        show_logs(dir);
        if (out.left)
            fprintf(stderr, "chaosd: something is left; `chaosd revert %s` removes it\n", name);
        return out.left ? EXIT_FAIL : EXIT_INCONCLUSIVE;
    }
    int code = judge_and_report(dir, o, &out, err);
    remember(dir, !o->out);
    if (out.trouble.text[0])
        fprintf(stderr, "chaosd: %s\n", out.trouble.text);
    if (out.never_ready)
        show_logs(dir);
    if (out.left)
        fprintf(stderr, "chaosd: something is left; `chaosd revert %s` tries again\n", name);
    return code;
}

static int drill_command(const struct command *self, int argc, char **argv, bool plan_only) {
    struct options o = {0};
    struct error err;
    struct drill d = {0};
    int first, code = options_parse(self, argc, argv, &o, &first);
    if (code)
        return code - 1;
    int rc = drill_open(argv[first], &o.drill, &d, &err);
    if (rc < 0)
        return fail(rc == -ENOMEM ? EXIT_INTERNAL : EXIT_USAGE, &err);
    if (plan_only || o.dry_run) {
        if (o.json) {
            cleanup_json json_t *plan = plan_to_json(&d.plan, d.scenario);
            json_dumpf(plan, stdout, JSON_INDENT(2));
            printf("\n");
        } else {
            drill_print_plan(&d);
        }
    } else if ((rc = drill_preflight(&d, o.strict, false, &err)) < 0) {
        code = fail(rc == -EOPNOTSUPP && o.strict ? EXIT_FAIL : EXIT_USAGE, &err);
    } else if (!o.yes && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))) {
        error_set(&err, 0, "not on a terminal, so it will not ask: say --yes to carry the plan out (chaosd plan shows it)");
        code = fail(EXIT_USAGE, &err);
    } else {
        if (!o.yes)
            drill_print_plan(&d);
        code = o.yes || agreed() ? carry_out(&d, &o, &err) : EXIT_ABORTED;
    }
    drill_close(&d);
    return code;
}

static int main_run(int argc, char **argv) { return drill_command(&command_run, argc, argv, false); }

const struct command command_run = {
    .name = "run", .args = "SCENARIO", .min_args = 1, .max_args = 1, .options = rows, .run = main_run,
    .doc = "Carries a scenario out, judges and reports it.",
    .more = "Ctrl-C reverts every fault, judges what there is and exits 4; a second one does not wait for the load's last answers.",
};

static int main_plan(int argc, char **argv) { return drill_command(&command_plan, argc, argv, true); }

const struct command command_plan = {
    .name = "plan", .args = "SCENARIO", .min_args = 1, .max_args = 1, .options = rows, .run = main_plan,
    .doc = "Prints what a seed would do, and does nothing.",
};

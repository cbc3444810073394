/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd report: judges a stored run again, with no cluster at hand. */
#include "base/cleanup.h"
#include "cmd.h"
#include "report/report.h"

#include <errno.h>
#include <stdio.h>

struct options {
    const char *format;
    bool json;
};

static const struct option_row rows[] = {
    {"format", 'f', OPT_STRING, offsetof(struct options, format), "KIND", "What is printed: text (default), json, junit, html or markdown."},
    {"json", 0, OPT_FLAG, offsetof(struct options, json), NULL, "The same as --format=json."},
    {0},
};

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
    return render(first < argc ? argv[first] : "runs/latest", k, &err);
}

const struct command command_report = {
    .name = "report", .args = "[RUN]", .min_args = 0, .max_args = 1, .options = rows, .run = main_report,
    .doc = "Judges a stored run again and writes its reports anew.",
    .more = "RUN is a run folder (default: runs/latest). The exit code is the run's verdict.",
};

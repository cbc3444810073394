/* SPDX-License-Identifier: Apache-2.0 */
#include "report/kinds.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <errno.h>
#include <string.h>

const struct report_kind *const report_kinds[] = {&report_text, &report_json, &report_junit, &report_html, &report_markdown, NULL};

const struct report_kind *report_kind(const char *name) {
    for (size_t i = 0; report_kinds[i]; i++)
        if (!strcmp(report_kinds[i]->name, name))
            return report_kinds[i];
    return NULL;
}

static int write_one(const struct report_kind *k, const struct judgement *j, struct error *err) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", j->history->dir, k->file) >= (int)sizeof path)
        return error_set(err, -ENAMETOOLONG, "%s/%s: path too long", j->history->dir, k->file);
    cleanup_buf struct buf out = {0};
    int rc = k->render(j, &out, err);
    return rc < 0 ? rc : fs_write(path, out.data, out.len, err);
}

int report_write_all(const struct judgement *j, struct error *err) {
    for (size_t i = 0; report_kinds[i]; i++) {
        int rc = report_kinds[i]->file ? write_one(report_kinds[i], j, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Marks: lines of the pods' own logs that the scenario wants to see beside chaosd's figures ("elected leader"), by their own stamps. */
#include "base/cleanup.h"
#include "base/redact.h"
#include "base/timestamp.h"
#include "cluster/local.h"
#include "run_internal.h"

#include <string.h>

enum { MAX_MARKS = 1000, MAX_LINE = 500 };

/* The pods of this machine stamp by its wall clock; the difference to the run's clock is taken now and said beside each mark. */
static int64_t wall_minus_run(const struct run *r) { return clock_wall_ns() - recorder_now(r->rec); }

static void mark_line(struct run *r, const struct follow *f, const struct pairs *marks, char *line, int64_t offset, int *budget) {
    int64_t wall;
    for (size_t i = 0; i < marks->count && *budget > 0; i++)
        if (strstr(line, marks->items[i].value) && timestamp_find(line, &wall)) {
            (*budget)--;
            if (strlen(line) > MAX_LINE)
                line[MAX_LINE] = 0;
            redact(line);
            for (unsigned char *c = (unsigned char *)line; *c; c++) /* whatever a program prints, the history is JSON */
                *c = *c < 0x20 || *c > 0x7e ? '?' : *c;
            recorder_event(r->rec, "cluster", "note/mark", "info", marks->items[i].key, f->name,
                           json_pack("{s:I,s:I,s:s*}", "at", (json_int_t)(wall - offset), "wall_ns", (json_int_t)wall, "line", line));
        }
}

static void marks_of(struct run *r, const struct follow *f, const struct pairs *marks, int *budget) {
    char path[4096];
    snprintf(path, sizeof path, "%s/logs/%s.log", r->o->dir, f->name);
    cleanup_fclose FILE *log = fopen(path, "re");
    cleanup_free char *line = NULL;
    size_t size = 0;
    int64_t offset = wall_minus_run(r);
    for (ssize_t n; log && (n = getline(&line, &size, log)) > 0;) {
        if (line[n - 1] == '\n')
            line[n - 1] = 0;
        mark_line(r, f, marks, line, offset, budget);
    }
}

void marks_collect(struct run *r) {
    int budget = MAX_MARKS; /* a mark that every line carries must not fill the history */
    for (struct follow *f = r->pods; f && r->cluster; f = f->next) {
        const struct pod *p = r->cluster->kind->pod(r->cluster, f->uid);
        const struct workload *w = p ? p->spec : NULL;
        if (w && w->marks.count)
            marks_of(r, f, &w->marks, &budget);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "live.h"
#include "base/cleanup.h"
#include "live_render.h"
#include "live_term.h"
#include "live_text.h"
#include "progress.h"

#include <errno.h>
#include <string.h>

/* Plain lines kept for the first screen: enough to look back on, bounded for runs that last days. */
enum { LOG_LINES = 200 };

struct live {
    struct live_model model;
    struct live_style style;
    struct live_frame frame, drawn;
    size_t width, height; /* of what is drawn */
    struct buf out;
    FILE *to;
    struct progress progress; /* writes into log */
    char *log[LOG_LINES], *line;
    size_t line_size;
    uint64_t log_count;
};

bool live_possible(FILE *out) { return term_usable(fileno(out)); }

static void live_freep(struct live **at) {
    struct live *l = *at;
    if (!l)
        return;
    if (l->progress.out)
        fclose(l->progress.out);
    free(l->line);
    for (size_t i = 0; i < LOG_LINES; i++)
        free(l->log[i]);
    live_model_free(&l->model);
    live_frame_free(&l->frame);
    live_frame_free(&l->drawn);
    buf_free(&l->out);
    free(l);
}

int live_open(struct live **ret, FILE *out, const struct scenario *s, const struct plan *p, struct error *err) {
    cleanup(live_freep) struct live *l = calloc(1, sizeof *l);
    if (!l || live_model_init(&l->model, s, p) < 0 || !(l->progress.out = open_memstream(&l->line, &l->line_size)))
        return error_set(err, -ENOMEM, "live view: out of memory");
    const char *no_colour = getenv("NO_COLOR");
    l->style = (struct live_style){.utf8 = live_locale_utf8(getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG")),
                                   .colour = !no_colour || !*no_colour};
    l->progress.scenario = s;
    l->to = out;
    fflush(out);
    int rc = term_open(fileno(out), err);
    if (rc == 0)
        *ret = take_ptr(l);
    return rc;
}

/* The lines that changed, each at its place. */
static void draw(struct live *l) {
    bool fresh;
    size_t width, height;
    if (!term_ready(&fresh))
        return;
    term_size(&width, &height);
    if (fresh || width != l->width || height != l->height) {
        live_frame_free(&l->drawn);
        buf_str(&l->out, "\x1b[0m\x1b[2J");
    }
    l->width = width;
    l->height = height;
    if (live_render(&l->model, width, height, &l->style, &l->frame) < 0)
        return;
    for (size_t i = 0; i < l->frame.count || i < l->drawn.count; i++) {
        const char *now = i < l->frame.count && l->frame.lines[i].data ? l->frame.lines[i].data : "";
        const char *before = i < l->drawn.count && l->drawn.lines[i].data ? l->drawn.lines[i].data : "";
        if (strcmp(now, before) != 0)
            buf_printf(&l->out, "\x1b[%zu;1H%s\x1b[K", i + 1, now);
    }
    struct live_frame swap = l->drawn;
    l->drawn = l->frame;
    l->frame = swap;
    if (l->out.len)
        term_send(&l->out);
}

static void keep_line(struct live *l, const json_t *event) {
    rewind(l->progress.out);
    progress_event(event, &l->progress);
    if (fflush(l->progress.out) != 0 || !l->line_size)
        return;
    char **at = &l->log[l->log_count++ % LOG_LINES];
    free(*at);
    *at = strndup(l->line, l->line_size);
}

void live_on_event(const json_t *event, void *arg) {
    struct live *l = arg;
    live_model_event(&l->model, event);
    keep_line(l, event);
    const char *op = json_string_value(json_object_get(event, "op"));
    if (op && (strcmp(op, "run/abort") == 0 || strcmp(op, "run/loads-end") == 0))
        draw(l); /* someone is waiting to see it, and the last tick may be near */
}

void live_on_sample(const struct sample *s, void *arg) { live_model_sample(&((struct live *)arg)->model, s); }

void live_on_tick(int64_t now_ns, const struct load_figures *loads, void *arg) {
    struct live *l = arg;
    live_model_tick(&l->model, now_ns, loads);
    draw(l);
}

void live_close(struct live *l) {
    if (!l)
        return;
    term_close();
    uint64_t kept = l->log_count < LOG_LINES ? l->log_count : LOG_LINES;
    if (kept < l->log_count)
        fprintf(l->to, "          %llu earlier lines are left out\n", (unsigned long long)(l->log_count - kept));
    for (uint64_t i = l->log_count - kept; i < l->log_count; i++)
        if (l->log[i % LOG_LINES])
            fputs(l->log[i % LOG_LINES], l->to);
    fflush(l->to);
    live_freep(&l);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a program prints and writes: into logs/, bounded, and into samples on the run's clock. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/redact.h"
#include "load/exec_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_MOST_BYTES (INT64_C(16) << 20)
#define REPORT_MOST_BYTES ((size_t)256 << 20)
#define ABSURD_NS NS_PER_S /* stamps of whole seconds are early by as much */

/* --- samples --- */

static void note_unreadable(struct exec_run *l, int64_t nth, const char *why) {
    if (!l->unreadable++) {
        l->first_unreadable = nth;
        snprintf(l->first_why, sizeof l->first_why, "%s", why);
    }
}

static uint16_t target_id(struct exec_run *l, const char *name) {
    if (!*name || !l->ctx.target)
        return SAMPLE_NO_TARGET;
    for (size_t i = 0; i < l->target_count; i++)
        if (!strcmp(l->targets[i].name, name))
            return l->targets[i].id;
    char *copy = l->target_count < ARRAY_SIZE(l->targets) ? strdup(name) : NULL;
    if (!copy)
        return SAMPLE_NO_TARGET; /* more than anybody looks at one by one */
    l->targets[l->target_count] = (struct exec_target){copy, l->ctx.target(l->ctx.resolve_arg, name)};
    return l->targets[l->target_count++].id;
}

/* Its length is by the tool's own clock, where it lies by ours. NULL, or why it cannot be. */
static const char *place_in_time(const struct exec_run *l, const struct external_sample *e, int64_t *ret_start) {
    int64_t began = recorder_from_monotonic(l->ctx.recorder, l->began_ns), now = recorder_now(l->ctx.recorder);
    *ret_start = e->relative ? began + e->start_ns : wallclock_map(&l->clock, e->start_ns);
    if (*ret_start < began - ABSURD_NS)
        return "its time is before the program's start";
    return *ret_start + (e->end_ns - e->start_ns) > now + ABSURD_NS ? "its time is in the future" : NULL;
}

static const char *take_sample(struct exec_run *l, const struct external_sample *e) {
    struct sample s = {.load = l->ctx.index, .lane = LANE_EXEC, .status = e->status, .steps = e->steps};
    const char *why = place_in_time(l, e, &s.start_ns);
    if (why)
        return why;
    bool late = e->good && l->p->deadline_ns && e->end_ns - e->start_ns > l->p->deadline_ns;
    s.planned_ns = s.start_ns; /* a closed loop plans nothing */
    s.end_ns = s.start_ns + (e->end_ns - e->start_ns);
    s.outcome = e->good && !late ? OUTCOME_GOOD : OUTCOME_BAD;
    s.reason = late ? REASON_TIMEOUT : e->reason;
    s.target = target_id(l, e->target);
    l->figures.planned++;
    l->figures.good += s.outcome == OUTCOME_GOOD;
    l->figures.bad += s.outcome == OUTCOME_BAD;
    recorder_sample(l->ctx.recorder, &s);
    return NULL;
}

static void sample_line(struct exec_run *l, const char *text, size_t len, bool cut) {
    struct external_sample s;
    char why[EXTERNAL_WHY];
    l->lines++;
    if (cut) {
        snprintf(why, sizeof why, "longer than %d bytes", EXTERNAL_LINE_MAX);
        note_unreadable(l, l->lines, why);
        return;
    }
    enum external_word word = external_line((enum external_format)l->p->samples, text, len, &s, why);
    const char *wrong = word == EXTERNAL_UNREADABLE ? why : word == EXTERNAL_SAMPLE ? take_sample(l, &s) : NULL;
    if (wrong)
        note_unreadable(l, l->lines, wrong);
}

/* --- pipes and logs --- */

static void log_line(struct exec_output *o, const char *text, size_t len) {
    static const char cut[] = "[chaosd: the program printed more than this log holds (16 MiB): cut here]\n";
    if (o->cut || !o->log)
        return;
    o->logged += (int64_t)len + 1;
    o->cut = o->logged > LOG_MOST_BYTES;
    fwrite(o->cut ? cut : text, 1, o->cut ? sizeof cut - 1 : len, o->log);
    if (!o->cut)
        fputc('\n', o->log);
}

static void on_line(const char *text, size_t len, bool cut, void *arg) {
    struct exec_output *o = arg;
    struct exec_run *l = o->run;
    log_line(o, text, len);
    if (o == &l->err && len)
        snprintf(l->last_words, sizeof l->last_words, "%s", text);
    if (o == &l->out && l->p->samples != EXTERNAL_NONE && !l->p->from)
        sample_line(l, text, len, cut);
    if (l->p->ready && !l->is_ready && memmem(text, len, l->p->ready, strlen(l->p->ready)))
        exec_seems_ready(l);
}

static void output_close(struct exec_output *o) {
    line_reader_free(o->reader);
    fclosep(&o->log);
    o->reader = NULL;
    o->log = NULL;
}

static void on_pipe_ended(int rc, void *arg) {
    struct exec_output *o = arg;
    (void)rc;
    output_close(o);
    exec_progress(o->run);
}

static int output_open(struct exec_run *l, struct exec_output *o, const char *suffix, int *ret_fd, struct error *err) {
    char path[4096];
    int ends[2];
    o->run = l;
    if (snprintf(path, sizeof path, "%s/logs/%s.%s", l->ctx.dir, l->name, suffix) >= (int)sizeof path)
        return error_set(err, -ENAMETOOLONG, "%s: path too long", l->ctx.dir);
    if (!(o->log = fopen(path, "we")))
        return error_errno(err, "%s", path);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(err, "pipe");
    const struct line_reader_spec spec = {.fd = ends[0], .max_line = EXTERNAL_LINE_MAX, .line = on_line, .ended = on_pipe_ended, .arg = o};
    *ret_fd = ends[1];
    int rc = line_reader_new(l->ctx.loop, &spec, &o->reader, err);
    if (rc < 0)
        close(ends[0]);
    return rc;
}

int exec_outputs_open(struct exec_run *l, int ret_fds[2], struct error *err) {
    char logs[4096];
    snprintf(logs, sizeof logs, "%s/logs", l->ctx.dir);
    int rc = fs_mkdirs(logs, err);
    if (rc == 0)
        rc = output_open(l, &l->out, "out", &ret_fds[0], err);
    return rc < 0 ? rc : output_open(l, &l->err, "err", &ret_fds[1], err);
}

bool exec_outputs_done(const struct exec_run *l) { return !l->out.reader && !l->err.reader; }

void exec_outputs_drain(struct exec_run *l) {
    struct exec_output *both[] = {&l->out, &l->err};
    for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
        if (both[i]->reader)
            line_reader_drain(both[i]->reader);
        output_close(both[i]);
    }
}

void exec_outputs_close(struct exec_run *l) {
    output_close(&l->out);
    output_close(&l->err);
    line_reader_free(l->file);
    l->file = NULL;
}

/* --- the file that samples come from --- */

__attribute__((format(printf, 2, 3))) static void no_samples(struct exec_run *l, const char *format, ...) {
    const char *name = strrchr(l->report, '/');
    char why[EXTERNAL_WHY];
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, sizeof why, format, ap);
    va_end(ap);
    snprintf(l->no_samples, sizeof l->no_samples, "%.60s: %s", name ? name + 1 : l->report, why);
}

static void on_file_line(const char *text, size_t len, bool cut, void *arg) { sample_line(arg, text, len, cut); }

static void on_file_ended(int rc, void *arg) {
    struct exec_run *l = arg;
    if (rc < 0)
        no_samples(l, "%s", strerror(-rc));
    line_reader_free(l->file);
    l->file = NULL;
    l->file_read = true;
    exec_progress(l);
}

static void rally_sample(const struct external_sample *s, void *arg) {
    struct exec_run *l = arg;
    l->lines++;
    const char *wrong = take_sample(l, s);
    if (wrong)
        note_unreadable(l, l->lines, wrong);
}

static void rally_unreadable(size_t nth, const char *why, void *arg) {
    struct exec_run *l = arg;
    l->lines++;
    note_unreadable(l, (int64_t)nth, why);
}

static void rally_sla(const struct external_sla *s, void *arg) {
    struct exec_run *l = arg;
    recorder_event(l->ctx.recorder, "load", "load/sla", s->success ? "ok" : "fail", s->criterion, l->name,
                   json_pack("{s:s, s:s}", "scenario", s->scenario, "detail", s->detail));
}

static void read_rally(struct exec_run *l, int fd) {
    const struct external_report r = {rally_sample, rally_unreadable, rally_sla, l};
    char path[64], why[EXTERNAL_WHY];
    cleanup_buf struct buf text = {0};
    struct error err;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fs_read(path, REPORT_MOST_BYTES, &text, &err) < 0)
        no_samples(l, "larger than %zu MiB, or not to be read", REPORT_MOST_BYTES >> 20);
    else if (!external_rally(text.data ? text.data : "", text.len, &r, why))
        no_samples(l, "%s", why);
}

void exec_read_report(struct exec_run *l) {
    struct stat st;
    struct error err = {{0}};
    cleanup_close int fd = open(l->report, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        no_samples(l, "%s", errno == ENOENT ? "the program did not write it" : strerrordesc_np(errno));
    } else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        no_samples(l, "not a file");
    } else if (l->p->samples == EXTERNAL_RALLY) {
        read_rally(l, fd);
    } else {
        const struct line_reader_spec spec = {.fd = fd, .max_line = EXTERNAL_LINE_MAX, .line = on_file_line, .ended = on_file_ended, .arg = l};
        if (line_reader_new(l->ctx.loop, &spec, &l->file, &err) == 0) {
            take_fd(&fd);
            return;
        }
        no_samples(l, "%s", err.text);
    }
    l->file_read = true;
}

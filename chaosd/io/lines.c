/* SPDX-License-Identifier: Apache-2.0 */
#include "io/lines.h"
#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 16384, DRAIN_MAX = 1 << 20 };

static int unblock(int fd, struct error *err) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? error_errno(err, "making a pipe non-blocking") : 0;
}

/* --- reading --- */

struct line_reader {
    struct line_reader_spec spec;
    struct watch *watch;
    bool skipping; /* the rest of a line that was cut */
    bool *freed;   /* on the stack of who is calling back */
    size_t len;
    char data[]; /* max_line + CHUNK + 1 */
};

/* One line out, its end made a NUL. False: the reader is gone. */
static bool tell(struct line_reader *r, char *text, size_t len, bool cut) {
    bool freed = false;
    char *end = text + len, kept = *end;
    *end = 0;
    r->freed = &freed;
    r->spec.line(text, len, cut, r->spec.arg);
    if (freed)
        return false;
    *end = kept;
    r->freed = NULL;
    return true;
}

/* A line whose end has come. False: the reader is gone. */
static bool tell_whole(struct line_reader *r, char *text, size_t len) {
    bool rest = r->skipping, cut = len > r->spec.max_line;
    r->skipping = false;
    return rest || tell(r, text, cut ? r->spec.max_line : len, cut);
}

/* Every whole line of the buffer, and the beginning of one that is too long already. False: the reader is gone. */
static bool tell_lines(struct line_reader *r) {
    char *p = r->data, *end = r->data + r->len;
    for (char *nl; (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1)
        if (!tell_whole(r, p, (size_t)(nl - p)))
            return false;
    r->len = (size_t)(end - p);
    if (!r->skipping && r->len > r->spec.max_line) {
        r->skipping = true;
        if (!tell(r, p, r->spec.max_line, true))
            return false;
    }
    if (r->skipping)
        r->len = 0;
    memmove(r->data, p, r->len);
    return true;
}

/* False: the reader is gone. */
static bool finish(struct line_reader *r, int rc) {
    watch_free(r->watch);
    r->watch = NULL;
    if (r->len && !tell(r, r->data, r->len, false))
        return false;
    r->len = 0;
    bool freed = false;
    r->freed = &freed;
    if (r->spec.ended)
        r->spec.ended(rc, r->spec.arg);
    if (!freed)
        r->freed = NULL;
    return !freed;
}

/* Bytes read; 0: nothing more, now or ever, and r may be gone. */
static size_t take(struct line_reader *r) {
    ssize_t n = read(r->spec.fd, r->data + r->len, CHUNK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        finish(r, n < 0 ? -errno : 0);
        return 0;
    }
    r->len += (size_t)n;
    return tell_lines(r) ? (size_t)n : 0;
}

static void on_readable(int events, void *arg) {
    (void)events;
    take(arg);
}

void line_reader_drain(struct line_reader *r) {
    if (!r->watch)
        return;
    for (size_t n, all = 0; all < DRAIN_MAX && (n = take(r)) > 0;)
        all += n;
}

int line_reader_new(struct loop *l, const struct line_reader_spec *s, struct line_reader **ret, struct error *err) {
    int rc = unblock(s->fd, err);
    if (rc < 0)
        return rc;
    struct line_reader *r = calloc(1, sizeof *r + s->max_line + CHUNK + 1);
    if (!r)
        return error_set(err, -ENOMEM, "out of memory");
    r->spec = *s;
    rc = watch_new(l, s->fd, WATCH_READ, on_readable, r, &r->watch, err);
    if (rc < 0) {
        free(r);
        return rc;
    }
    *ret = r;
    return 0;
}

void line_reader_free(struct line_reader *r) {
    if (!r)
        return;
    if (r->freed)
        *r->freed = true;
    watch_free(r->watch);
    close(r->spec.fd);
    free(r);
}

/* --- writing --- */

struct line_writer {
    struct line_writer_spec spec;
    struct watch *watch; /* NULL: broken, or closed and all is written */
    struct buf out;
    size_t done; /* of out, taken by the pipe */
    bool closing;
    int broken; /* -errno that is still to be told; else 0 */
};

static void shut(struct line_writer *w) {
    watch_free(w->watch);
    w->watch = NULL;
    close(w->spec.fd);
    buf_free(&w->out);
    w->done = 0;
}

/* As much as the pipe takes. */
static void flush(struct line_writer *w) {
    while (w->done < w->out.len && !w->broken) {
        ssize_t n = write(w->spec.fd, w->out.data + w->done, w->out.len - w->done);
        if (n > 0)
            w->done += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            break;
        else if (n < 0 && errno != EINTR)
            w->broken = -errno;
    }
    if (w->done == w->out.len) {
        buf_clear(&w->out);
        w->done = 0;
    }
}

/* What waits needs the pipe to be writable; what is broken is told from the loop. A pipe whose reader is gone is always "writable". */
static void arm(struct line_writer *w) { watch_set(w->watch, w->out.len || w->broken ? WATCH_WRITE : 0); }

static void on_writable(int events, void *arg) {
    (void)events;
    struct line_writer *w = arg;
    flush(w);
    if (w->broken) {
        int rc = w->broken;
        shut(w);
        if (w->spec.broken)
            w->spec.broken(rc, w->spec.arg); /* may free w */
        return;
    }
    if (w->closing && !w->out.len)
        shut(w);
    else
        arm(w);
}

int line_writer_put(struct line_writer *w, const char *text, size_t len) {
    if (!w->watch || w->closing || w->broken)
        return -EPIPE;
    size_t waiting = w->out.len - w->done;
    if (len >= w->spec.max_waiting || waiting > w->spec.max_waiting - len - 1)
        return -EAGAIN;
    if (w->done) { /* the part that was taken goes, so that the buffer stays as small as what waits */
        memmove(w->out.data, w->out.data + w->done, waiting);
        w->out.len = waiting;
        w->done = 0;
    }
    size_t before = w->out.len;
    buf_add(&w->out, text, len);
    buf_add(&w->out, "\n", 1);
    if (!buf_ok(&w->out)) {
        w->out.failed = false; /* what waited before is whole: the line that did not fit goes alone */
        w->out.len = before;
        return -ENOMEM;
    }
    if (!before)
        flush(w);
    arm(w);
    return 0;
}

void line_writer_close(struct line_writer *w) {
    if (!w->watch || w->closing)
        return;
    w->closing = true;
    if (!w->out.len && !w->broken)
        shut(w);
}

int line_writer_new(struct loop *l, const struct line_writer_spec *s, struct line_writer **ret, struct error *err) {
    int rc = unblock(s->fd, err);
    if (rc < 0)
        return rc;
    struct line_writer *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(err, -ENOMEM, "out of memory");
    w->spec = *s;
    rc = watch_new(l, s->fd, 0, on_writable, w, &w->watch, err);
    if (rc < 0) {
        free(w);
        return rc;
    }
    *ret = w;
    return 0;
}

void line_writer_free(struct line_writer *w) {
    if (!w)
        return;
    if (w->watch)
        shut(w);
    free(w);
}

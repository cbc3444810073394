/* SPDX-License-Identifier: Apache-2.0 */
#include "history/recorder.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/utf8.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "samples are written as they lie in memory");

enum { EVENTS_BUFFER = 64 << 10, SAMPLES_BUFFER = 256 << 10 };

struct out {
    int fd;
    char *data;
    size_t len, cap;
    bool dirty; /* written, but not yet synced */
    const char *name;
};

struct recorder {
    int64_t sample_count;
    const struct clock *clock;
    int64_t start, next_seq;
    struct out events, samples;
    int rc; /* the first failure, or 0 */
    struct error trouble;
    void (*listen)(const json_t *event, void *arg);
    void *listen_arg;
    void (*sampled)(const struct sample *s, void *arg);
    void *sampled_arg;
};

static int fail(struct recorder *r, int rc, const char *what) {
    if (!r->rc) {
        r->rc = rc;
        error_set(&r->trouble, rc, "%s: %s", what, strerror(-rc));
    }
    return r->rc;
}

static int write_all(struct recorder *r, struct out *o, const char *data, size_t len) {
    o->dirty |= len > 0;
    while (len) {
        ssize_t n = write(o->fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(r, n < 0 ? -errno : -EIO, o->name);
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int out_flush(struct recorder *r, struct out *o) {
    size_t len = o->len;
    o->len = 0;
    return write_all(r, o, o->data, len);
}

static void out_add(struct recorder *r, struct out *o, const void *data, size_t len) {
    if (r->rc)
        return;
    if (len > o->cap - o->len && out_flush(r, o) < 0)
        return;
    if (len > o->cap) {
        write_all(r, o, data, len);
        return;
    }
    memcpy(o->data + o->len, data, len);
    o->len += len;
}

/* Names may come from anywhere; a bad byte must cost that byte, not the event. */
static json_t *text(const char *s) {
    json_t *j = json_string(s ? s : "");
    if (j)
        return j;
    cleanup_buf struct buf b = {0};
    for (const char *p = s; *p;) {
        size_t n = utf8_decode(p, UTF8_MOST, NULL);
        buf_add(&b, n ? p : UTF8_REPLACEMENT, n ? n : strlen(UTF8_REPLACEMENT));
        p += n ? n : 1;
    }
    return buf_ok(&b) ? json_string(b.data) : NULL;
}

static void add_line(struct recorder *r, const json_t *value) {
    cleanup_free char *line = json_dumps(value, JSON_COMPACT);
    if (!line) {
        fail(r, -ENOMEM, "event");
        return;
    }
    size_t len = strlen(line);
    line[len] = '\n'; /* whole lines only: the terminator's place is taken, the length is known */
    out_add(r, &r->events, line, len + 1);
}

static int out_open(struct out *o, const char *dir, const char *name, size_t cap, struct error *err) {
    char path[4096];
    o->name = name;
    o->cap = cap;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return error_set(err, -ENAMETOOLONG, "%s/%s: path too long", dir, name);
    o->data = malloc(cap);
    if (!o->data)
        return error_set(err, -ENOMEM, "%s: out of memory", path);
    /* A history is never written over: it may be the only one of its kind. */
    o->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    return o->fd < 0 ? error_errno(err, "%s", path) : 0;
}

static void recorder_free(struct recorder *r) {
    if (!r)
        return;
    closep(&r->events.fd);
    closep(&r->samples.fd);
    free(r->events.data);
    free(r->samples.data);
    free(r);
}

static void recorder_freep(struct recorder **r) { recorder_free(*r); }

/* The files' names must survive a power cut, not only their contents. */
static int sync_dir(const char *dir, struct error *err) {
    cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "%s", dir);
    if (fsync(fd) < 0 && errno != EINVAL && errno != EROFS)
        return error_errno(err, "%s", dir);
    return 0;
}

static int write_headers(struct recorder *r, const json_t *header, struct error *err) {
    cleanup_json json_t *h = json_object();
    json_t *copy = header ? json_deep_copy(header) : json_object();
    if (!h || !copy || json_object_set_new(h, "schema", json_integer(HISTORY_SCHEMA)) < 0) {
        json_decref(copy);
        return error_set(err, -ENOMEM, "history header: out of memory");
    }
    int rc = json_object_update_missing(h, copy);
    json_decref(copy);
    if (rc < 0 || json_object_set_new(h, "wall_ns", json_integer(clock_wall_ns())) < 0 ||
        json_object_set_new(h, "mono_ns", json_integer(r->start)) < 0)
        return error_set(err, -ENOMEM, "history header: out of memory");
    add_line(r, h);
    struct {
        char magic[8];
        uint32_t version, size;
        char zero[48];
    } start = {.magic = "CHAOSD-S", .version = 1, .size = sizeof(struct sample)};
    _Static_assert(sizeof start == 64, "the header of samples.bin is 64 bytes");
    out_add(r, &r->samples, &start, sizeof start);
    return recorder_flush(r, err);
}

int recorder_open(struct recorder **ret, const char *dir, json_t *header, const struct clock *clock, struct error *err) {
    cleanup(recorder_freep) struct recorder *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, -ENOMEM, "recorder: out of memory");
    r->events.fd = r->samples.fd = -1;
    r->clock = clock;
    int rc = out_open(&r->events, dir, "history.jsonl", EVENTS_BUFFER, err);
    if (rc == 0)
        rc = out_open(&r->samples, dir, "samples.bin", SAMPLES_BUFFER, err);
    if (rc == 0)
        rc = sync_dir(dir, err);
    if (rc < 0)
        return rc;
    r->start = clock_now(clock);
    rc = write_headers(r, header, err);
    if (rc == 0)
        *ret = take_ptr(r);
    return rc;
}

int64_t recorder_now(const struct recorder *r) { return clock_now(r->clock) - r->start; }

int64_t recorder_from_monotonic(const struct recorder *r, int64_t mono_ns) { return mono_ns - r->start; }

int64_t recorder_event(struct recorder *r, const char *actor, const char *op, const char *phase, const char *kind, const char *target,
                       json_t *data) {
    return recorder_event_at(r, recorder_now(r), actor, op, phase, kind, target, data);
}

int64_t recorder_event_at(struct recorder *r, int64_t t, const char *actor, const char *op, const char *phase, const char *kind,
                          const char *target, json_t *data) {
    int64_t seq = r->next_seq++;
    cleanup_json json_t *e = json_object();
    const struct {
        const char *key;
        json_t *value;
    } members[] = {
        {"seq", json_integer(seq)}, {"t", json_integer(t)}, {"actor", text(actor)},   {"op", text(op)},
        {"phase", text(phase)},     {"kind", text(kind)},   {"target", text(target)}, {"data", data ? data : json_object()},
    };
    int rc = e ? 0 : -1;
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) /* all of them, as each one's reference is to be given away */
        if (json_object_set_new(e, members[i].key, members[i].value) < 0)
            rc = -1;
    if (rc < 0) {
        fail(r, -ENOMEM, "event");
        return seq;
    }
    add_line(r, e);
    /* Told also after a failure: a person at a terminal must see the reverts that a full disk brings about. */
    if (r->listen)
        r->listen(e, r->listen_arg);
    return seq;
}

void recorder_sample(struct recorder *r, const struct sample *s) {
    out_add(r, &r->samples, s, sizeof *s);
    r->sample_count++;
    if (r->sampled)
        r->sampled(s, r->sampled_arg);
}

int64_t recorder_samples(const struct recorder *r) { return r->sample_count; }

int recorder_error(const struct recorder *r, struct error *err) { return r->rc ? error_set(err, r->rc, "%s", r->trouble.text) : 0; }

int recorder_flush(struct recorder *r, struct error *err) {
    if (!r->rc && out_flush(r, &r->events) == 0)
        out_flush(r, &r->samples);
    return recorder_error(r, err);
}

static void out_sync(struct recorder *r, struct out *o) {
    if (r->rc || !o->dirty)
        return;
    while (fdatasync(o->fd) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EINVAL && errno != EROFS) { /* a pipe or /dev/full has no disk to go to */
            fail(r, -errno, o->name);
            return;
        }
        break;
    }
    o->dirty = false;
}

int recorder_sync(struct recorder *r, struct error *err) {
    recorder_flush(r, NULL);
    out_sync(r, &r->samples);
    out_sync(r, &r->events); /* last, so that an event on disk vouches for the samples before it */
    return recorder_error(r, err);
}

void recorder_listen(struct recorder *r, void (*fn)(const json_t *event, void *arg), void *arg) {
    r->listen = fn;
    r->listen_arg = arg;
}

void recorder_listen_samples(struct recorder *r, void (*fn)(const struct sample *s, void *arg), void *arg) {
    r->sampled = fn;
    r->sampled_arg = arg;
}

int recorder_close(struct recorder *r, struct error *err) {
    if (!r)
        return 0;
    int rc = recorder_sync(r, err);
    struct out *outs[] = {&r->events, &r->samples};
    for (size_t i = 0; i < ARRAY_SIZE(outs); i++) {
        int fd = take_fd(&outs[i]->fd);
        if (close(fd) < 0 && errno != EINTR && rc == 0)
            rc = error_errno(err, "%s", outs[i]->name);
    }
    recorder_free(r);
    return rc;
}

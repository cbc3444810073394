/* SPDX-License-Identifier: Apache-2.0 */
#include "history/reader.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define EVENTS_MAX_BYTES ((size_t)1 << 32)
#define TIME_LIMIT ((int64_t)1 << 60) /* 36 years: differences of such times cannot overflow */
#define SAMPLES_HEADER 64

static const char history_name[] = "history.jsonl", samples_name[] = "samples.bin";

struct parse {
    struct history *h;
    size_t cap;
    json_t *none; /* the data of events that have none */
};

static bool time_ok(int64_t t) { return t > -TIME_LIMIT && t < TIME_LIMIT; }

static int bad_line(size_t line, struct error *err, const char *why) {
    return error_set(err, -EBADMSG, "%s:%zu: %s", history_name, line, why);
}

static const char *member_text(json_t *event, const char *key, bool *ok) {
    json_t *v = json_object_get(event, key);
    if (!v || json_is_null(v))
        return "";
    if (!json_is_string(v))
        *ok = false;
    return json_is_string(v) ? json_string_value(v) : "";
}

/* NULL, or why the value is no event. */
static const char *read_event(const struct parse *p, json_t *value, struct event *ret) {
    if (!json_is_object(value))
        return "not an object";
    json_t *seq = json_object_get(value, "seq"), *t = json_object_get(value, "t"), *data = json_object_get(value, "data");
    if (!json_is_integer(seq) || !json_is_integer(t))
        return "\"seq\" and \"t\" must be integers";
    if (!time_ok(json_integer_value(t)))
        return "\"t\" is out of range";
    if (data && !json_is_null(data) && !json_is_object(data))
        return "\"data\" must be an object";
    bool ok = true;
    *ret = (struct event){
        .seq = json_integer_value(seq),
        .t = json_integer_value(t),
        .actor = member_text(value, "actor", &ok),
        .op = member_text(value, "op", &ok),
        .phase = member_text(value, "phase", &ok),
        .kind = member_text(value, "kind", &ok),
        .target = member_text(value, "target", &ok),
        .data = json_is_object(data) ? data : p->none,
        .json = value,
    };
    return ok ? NULL : "actor, op, phase, kind and target must be strings";
}

static int add_event(struct parse *p, const struct event *e, struct error *err) {
    struct history *h = p->h;
    if (h->event_count == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 256;
        struct event *list = realloc(h->events, cap * sizeof *list);
        if (!list)
            return error_set(err, -ENOMEM, "%s: out of memory", history_name);
        h->events = list;
        p->cap = cap;
    }
    h->events[h->event_count++] = *e;
    json_incref(e->json);
    return 0;
}

enum member { M_STRING, M_INTEGER, M_BOOL, M_STRINGS };

static bool member_is(const json_t *v, enum member type) {
    size_t i;
    json_t *one;
    switch (type) {
    case M_STRING: return json_is_string(v);
    case M_INTEGER: return json_is_integer(v);
    case M_BOOL: return json_is_boolean(v);
    case M_STRINGS:
        json_array_foreach(v, i, one)
            if (!json_is_string(one))
                return false;
        return json_is_array(v);
    }
    return false;
}

/* Members of the header's lists, as far as figures rest on them. key NULL: the list holds strings. */
static const struct { const char *list, *key; enum member type; bool required; } members[] = {
    {"loads", "name", M_STRING, true},           {"loads", "goods", M_INTEGER, false},    {"loads", "over_ns", M_INTEGER, false},
    {"loads", "slow_ns", M_INTEGER, false},      {"loads", "control", M_BOOL, false},
    {"loads", "deadline_ns", M_INTEGER, false},  {"loads", "lanes", M_STRINGS, false},    {"faults", "name", M_STRING, true},
    {"faults", "kind", M_STRING, false},         {"faults", "holds", M_BOOL, false},      {"workloads", "name", M_STRING, true},
    {"workloads", "replicas", M_INTEGER, false}, {"plan", "fault", M_INTEGER, true},      {"plan", "occurrence", M_INTEGER, true},
    {"plan", "at_ns", M_INTEGER, false},         {"plan", "for_ns", M_INTEGER, false},    {"expect", NULL, M_STRING, true},
    {"probes", "name", M_STRING, true},          {"probes", "kind", M_STRING, false},     {"probes", "mode", M_STRING, false},
};

static int check_members(const json_t *header, size_t line, struct error *err) {
    for (size_t m = 0; m < ARRAY_SIZE(members); m++) {
        const json_t *list = json_object_get(header, members[m].list);
        const char *key = members[m].key;
        size_t i;
        json_t *one;
        if (list && !json_is_array(list))
            return error_set(err, -EBADMSG, "%s:%zu: \"%s\" must be an array", history_name, line, members[m].list);
        json_array_foreach(list, i, one) {
            const json_t *v = key ? json_object_get(one, key) : one;
            if ((key && !json_is_object(one)) || (v ? !member_is(v, members[m].type) : members[m].required))
                return error_set(err, -EBADMSG, "%s:%zu: \"%s\"[%zu]%s%s is missing or of the wrong type", history_name, line,
                                 members[m].list, i, key ? "." : "", key ? key : "");
        }
    }
    return 0;
}

static int read_header(struct history *h, json_t *value, size_t line, struct error *err) {
    const json_t *schema = json_object_get(value, "schema");
    const char *why = !json_is_object(value)      ? "the header must be an object"
                      : !json_is_integer(schema)  ? "not a history: the header has no \"schema\""
                      : json_integer_value(schema) != HISTORY_SCHEMA ? "this history's schema is not known to this version of chaosd"
                                                                     : NULL;
    int rc = why ? bad_line(line, err, why) : check_members(value, line, err);
    if (rc == 0)
        h->header = json_incref(value);
    return rc;
}

static int parse_line(struct parse *p, const char *line, size_t len, size_t number, bool last, struct error *err) {
    json_error_t where;
    cleanup_json json_t *value = json_loadb(line, len, 0, &where);
    struct event e;
    if (value && number == 1)
        return read_header(p->h, value, number, err);
    const char *why = value ? read_event(p, value, &e) : where.text;
    if (why && last && number > 1) { /* what the run was writing when it was killed, or what a power cut left of it */
        p->h->torn = true;
        return 0;
    }
    if (why)
        return bad_line(number, err, why);
    if (e.seq != (int64_t)p->h->event_count) /* no event is missing, none is there twice */
        return error_set(err, -EBADMSG, "%s:%zu: \"seq\" is %" PRId64 ", %zu was due", history_name, number, e.seq, p->h->event_count);
    return add_event(p, &e, err);
}

static int read_events(struct history *h, struct error *err) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", h->dir, history_name) >= (int)sizeof path)
        return error_set(err, -ENAMETOOLONG, "%s: path too long", h->dir);
    cleanup_buf struct buf text = {0};
    int rc = fs_read(path, EVENTS_MAX_BYTES, &text, err);
    if (rc < 0)
        return rc;
    cleanup_json json_t *none = json_object();
    if (!none)
        return error_set(err, -ENOMEM, "%s: out of memory", history_name);
    struct parse p = {.h = h, .none = none};
    size_t number = 0;
    for (size_t at = 0, len; at < text.len; at += len + 1) {
        const char *end = memchr(text.data + at, '\n', text.len - at);
        len = end ? (size_t)(end - text.data) - at : text.len - at;
        rc = parse_line(&p, text.data + at, len, ++number, at + len + 1 >= text.len, err);
        if (rc < 0)
            return rc;
    }
    if (!number)
        return error_set(err, -EBADMSG, "%s is empty: the run ended before it began", history_name);
    h->none = json_incref(none);
    return 0;
}

static const struct sample no_sample; /* none is all zero: a request takes time */

static const char *sample_fault(const struct sample *s, size_t loads) {
    return s->lane >= LANE_COUNT          ? "unknown lane"
           : s->outcome >= OUTCOME_COUNT  ? "unknown outcome"
           : s->reason >= REASON_COUNT    ? "unknown reason"
           : s->load >= loads             ? "its load is not in the header"
           : !time_ok(s->planned_ns) || !time_ok(s->start_ns) || !time_ok(s->end_ns) ? "time out of range"
           : s->start_ns < s->planned_ns  ? "it started before it was planned"
           : s->end_ns < s->start_ns      ? "it ended before it started"
           : !memcmp(s, &no_sample, sizeof no_sample) ? "all zero"
                                          : NULL;
}

static int check_samples(struct history *h, struct error *err) {
    /* A power cut may leave the file its length without its contents. */
    while (h->sample_count && !memcmp(&h->samples[h->sample_count - 1], &no_sample, sizeof no_sample)) {
        h->sample_count--;
        h->torn = true;
    }
    size_t loads = json_array_size(json_object_get(h->header, "loads"));
    for (size_t i = 0; i < h->sample_count; i++) {
        const char *why = sample_fault(&h->samples[i], loads);
        if (why)
            return error_set(err, -EBADMSG, "%s: record %zu: %s", samples_name, i + 1, why);
    }
    return 0;
}

static int map_samples(struct history *h, int fd, size_t size, struct error *err) {
    h->map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (h->map == MAP_FAILED) {
        h->map = NULL;
        return error_errno(err, "%s", samples_name);
    }
    h->map_len = size;
    uint32_t version, record;
    memcpy(&version, (char *)h->map + 8, sizeof version);
    memcpy(&record, (char *)h->map + 12, sizeof record);
    if (memcmp(h->map, "CHAOSD-S", 8))
        return error_set(err, -EBADMSG, "%s: not a file of samples", samples_name);
    if (version != 1 || record != sizeof(struct sample))
        return error_set(err, -EBADMSG, "%s: version %u with records of %u bytes is not known to this version of chaosd", samples_name,
                         version, record);
    h->samples = (const struct sample *)((const char *)h->map + SAMPLES_HEADER);
    h->sample_count = (size - SAMPLES_HEADER) / sizeof(struct sample);
    h->torn |= (size - SAMPLES_HEADER) % sizeof(struct sample) != 0;
    return check_samples(h, err);
}

static int read_samples(struct history *h, struct error *err) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", h->dir, samples_name) >= (int)sizeof path)
        return error_set(err, -ENAMETOOLONG, "%s: path too long", h->dir);
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0; /* a run without loads, or one killed at its start */
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "%s: not a file", path);
    if (st.st_size < SAMPLES_HEADER) {
        h->torn |= st.st_size > 0;
        return 0;
    }
    return map_samples(h, fd, (size_t)st.st_size, err);
}

static void history_freep(struct history **h) { history_free(*h); }

int history_load(const char *dir, struct history **ret, struct error *err) {
    cleanup(history_freep) struct history *h = calloc(1, sizeof *h);
    if (!h || !(h->dir = strdup(dir)))
        return error_set(err, -ENOMEM, "%s: out of memory", dir);
    int rc = read_events(h, err);
    if (rc == 0)
        rc = read_samples(h, err);
    if (rc == 0)
        *ret = take_ptr(h);
    return rc;
}

void history_free(struct history *h) {
    if (!h)
        return;
    for (size_t i = 0; i < h->event_count; i++)
        json_decref(h->events[i].json);
    free(h->events);
    json_decref(h->header);
    json_decref(h->none);
    if (h->map)
        munmap(h->map, h->map_len);
    free(h->dir);
    free(h);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/fs.h"
#include "history/reader.h"

#include <errno.h>
#include <string.h>

#define HEADER "{\"schema\":1,\"loads\":[{\"name\":\"writes\"}]}\n"
#define MEMBER(name, value) "{\"schema\":1,\"" name "\":" value "}\n"
#define EVENT(n)                                                                                                                           \
    "{\"seq\":" #n ",\"t\":10,\"actor\":\"run\",\"op\":\"note/x\",\"phase\":\"info\",\"kind\":\"\",\"target\":\"\",\"data\":{}}\n"

static char dir[64];

static int setup(void **state) {
    (void)state;
    strcpy(dir, "/tmp/chaosd-reader-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static void put(const char *name, const void *data, size_t len) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

static const struct row {
    const char *text;
    int rc;
    size_t events;
    bool torn;
    const char *error; /* part of the text */
} rows[] = {
    {"", -EBADMSG, 0, false, "history.jsonl is empty"},
    {"\n", -EBADMSG, 0, false, "history.jsonl:1:"},
    {"{\"schema\":1", -EBADMSG, 0, false, "history.jsonl:1:"}, /* a header that is torn is no history */
    {"{\"schema\":1}", 0, 0, false, NULL},
    {HEADER, 0, 0, false, NULL},
    {"{\"schema\":2}\n", -EBADMSG, 0, false, "schema is not known"},
    {"{\"a\":2}\n", -EBADMSG, 0, false, "no \"schema\""},
    {"[1]\n", -EBADMSG, 0, false, "history.jsonl:1:"},
    {HEADER EVENT(0) EVENT(1), 0, 2, false, NULL},
    {HEADER EVENT(0) "{\"seq\":1,\"t\":2", 0, 1, true, NULL},
    {HEADER EVENT(0) "{", 0, 1, true, NULL},
    {HEADER EVENT(0) "{\"seq\":1,\"t\":2}", 0, 2, false, NULL}, /* whole, only its newline is missing */
    {HEADER EVENT(0) "garbage\n", 0, 1, true, NULL},
    {HEADER "garbage\n" EVENT(0), -EBADMSG, 0, false, "history.jsonl:2:"},
    {HEADER EVENT(0) "\n" EVENT(1), -EBADMSG, 0, false, "history.jsonl:3:"},
    {HEADER EVENT(0) "{\"seq\":\"1\",\"t\":1}\n" EVENT(2), -EBADMSG, 0, false, "history.jsonl:3: \"seq\" and \"t\""},
    {HEADER "{\"seq\":0,\"t\":9223372036854775807}\n" EVENT(1), -EBADMSG, 0, false, "out of range"},
    {HEADER "{\"seq\":0,\"t\":1,\"data\":[]}\n" EVENT(1), -EBADMSG, 0, false, "\"data\""},
    {HEADER "{\"seq\":0,\"t\":1,\"op\":7}\n" EVENT(1), -EBADMSG, 0, false, "must be strings"},
    {HEADER "{\"seq\":0,\"t\":1,\"op\":\"\xff\"}\n" EVENT(1), -EBADMSG, 0, false, "history.jsonl:2:"},
    {HEADER "{\"seq\":0,\"t\":1,\"op\":null}\n" EVENT(1), 0, 2, false, NULL},
    {HEADER EVENT(5) EVENT(6), -EBADMSG, 0, false, "history.jsonl:2: \"seq\" is 5, 0 was due"},
    {HEADER EVENT(0) EVENT(2) EVENT(3), -EBADMSG, 0, false, "history.jsonl:3: \"seq\" is 2, 1 was due"},
    {HEADER EVENT(0) EVENT(0), -EBADMSG, 0, false, "history.jsonl:3: \"seq\" is 0, 1 was due"}, /* the last line too: that is no tear */
    {HEADER EVENT(-1), -EBADMSG, 0, false, "history.jsonl:2: \"seq\" is -1, 0 was due"},
    {MEMBER("loads", "{}"), -EBADMSG, 0, false, "history.jsonl:1: \"loads\" must be an array"},
    {MEMBER("loads", "null"), -EBADMSG, 0, false, "history.jsonl:1: \"loads\" must be an array"},
    {MEMBER("loads", "[]"), 0, 0, false, NULL},
    {MEMBER("loads", "[{\"name\":\"a\"},7]"), -EBADMSG, 0, false, "history.jsonl:1: \"loads\"[1].name"},
    {MEMBER("loads", "[{\"goods\":1}]"), -EBADMSG, 0, false, "history.jsonl:1: \"loads\"[0].name"},
    {MEMBER("loads", "[{\"name\":\"a\",\"goods\":5.5}]"), -EBADMSG, 0, false, "history.jsonl:1: \"loads\"[0].goods"},
    {MEMBER("loads", "[{\"name\":\"a\",\"over_ns\":\"1s\"}]"), -EBADMSG, 0, false, "history.jsonl:1: \"loads\"[0].over_ns"},
    {MEMBER("loads", "[{\"name\":\"a\",\"lanes\":\"fresh\"}]"), -EBADMSG, 0, false, "history.jsonl:1: \"loads\"[0].lanes"},
    {MEMBER("loads", "[{\"name\":\"a\",\"lanes\":[1]}]"), -EBADMSG, 0, false, "history.jsonl:1: \"loads\"[0].lanes"},
    {MEMBER("loads", "[{\"name\":\"a\",\"lanes\":[\"new\"],\"goods\":5,\"more\":{}}]"), 0, 0, false, NULL},
    {MEMBER("faults", "7"), -EBADMSG, 0, false, "history.jsonl:1: \"faults\" must be an array"},
    {MEMBER("faults", "[null]"), -EBADMSG, 0, false, "history.jsonl:1: \"faults\"[0].name"},
    {MEMBER("faults", "[{\"name\":\"a\",\"holds\":1}]"), -EBADMSG, 0, false, "history.jsonl:1: \"faults\"[0].holds"},
    {MEMBER("faults", "[{\"name\":\"a\",\"kind\":[]}]"), -EBADMSG, 0, false, "history.jsonl:1: \"faults\"[0].kind"},
    {MEMBER("expect", "\"errors < 1%\""), -EBADMSG, 0, false, "history.jsonl:1: \"expect\" must be an array"},
    {MEMBER("expect", "[\"errors < 1%\",1]"), -EBADMSG, 0, false, "history.jsonl:1: \"expect\"[1] is"},
    {MEMBER("workloads", "[{\"name\":\"a\",\"replicas\":\"3\"}]"), -EBADMSG, 0, false, "history.jsonl:1: \"workloads\"[0].replicas"},
    {MEMBER("workloads", "[[]]"), -EBADMSG, 0, false, "history.jsonl:1: \"workloads\"[0].name"},
    {MEMBER("plan", "[{\"fault\":\"kill\",\"occurrence\":1}]"), -EBADMSG, 0, false, "history.jsonl:1: \"plan\"[0].fault"},
    {MEMBER("plan", "[{\"fault\":0}]"), -EBADMSG, 0, false, "history.jsonl:1: \"plan\"[0].occurrence"},
    {MEMBER("plan", "[{\"fault\":0,\"occurrence\":1}]"), 0, 0, false, NULL},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct history *h = NULL;
        struct error err = {""};
        put("history.jsonl", rows[i].text, strlen(rows[i].text));
        int rc = history_load(dir, &h, &err);
        if (rc != rows[i].rc || (rows[i].error && !strstr(err.text, rows[i].error)))
            fail_msg("row %zu: %d, %s", i, rc, err.text);
        if (rc == 0) {
            assert_int_equal(h->event_count, rows[i].events);
            assert_int_equal(h->torn, rows[i].torn);
            assert_int_equal(h->sample_count, 0);
            for (size_t k = 1; k < h->event_count; k++)
                assert_true(h->events[k - 1].seq < h->events[k].seq);
        }
        history_free(h);
    }
}

/* A tail of zeros, as a power cut leaves it. */
static void test_zero_tail(void **state) {
    (void)state;
    static const char text[] = HEADER EVENT(0) "\0\0\0\0\0";
    struct history *h = NULL;
    put("history.jsonl", text, sizeof text);
    assert_int_equal(history_load(dir, &h, NULL), 0);
    assert_int_equal(h->event_count, 1);
    assert_true(h->torn);
    history_free(h);
}

static void test_nowhere(void **state) {
    (void)state;
    struct history *h = NULL;
    struct error err = {""};
    assert_int_equal(history_load("/nowhere", &h, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nowhere/history.jsonl"));
    history_free(NULL);
}

struct file {
    char magic[8];
    uint32_t version, size;
    char zero[48];
    struct sample samples[4];
};

struct sample_row {
    const char *name;
    size_t length; /* of the file, in bytes */
    int rc;
    size_t count;
    bool torn;
    const char *error;
    void (*spoil)(struct file *f);
};

static void magic(struct file *f) { f->magic[0] = 'X'; }
static void version(struct file *f) { f->version = 2; }
static void record(struct file *f) { f->size = 32; }
static void lane(struct file *f) { f->samples[1].lane = LANE_COUNT; }
static void outcome(struct file *f) { f->samples[1].outcome = OUTCOME_COUNT; }
static void reason(struct file *f) { f->samples[1].reason = REASON_COUNT; }
static void load(struct file *f) { f->samples[2].load = 1; }
static void time_range(struct file *f) { f->samples[3].end_ns = INT64_MAX; }
static void zeros(struct file *f) { memset(&f->samples[2], 0, 2 * sizeof f->samples[0]); }
static void no_time(struct file *f) { f->samples[3].end_ns = f->samples[3].start_ns; }
static void backwards(struct file *f) { f->samples[3].end_ns = f->samples[3].start_ns - 1; }
static void too_early(struct file *f) { f->samples[3].start_ns = f->samples[3].planned_ns - 1; }
static void hole(struct file *f) { memset(&f->samples[1], 0, sizeof f->samples[1]); }

static const struct sample_row sample_rows[] = {
    {"whole", 320, 0, 4, false, NULL, NULL},
    {"empty", 0, 0, 0, false, NULL, NULL},
    {"torn header", 63, 0, 0, true, NULL, NULL},
    {"header alone", 64, 0, 0, false, NULL, NULL},
    {"one record", 128, 0, 1, false, NULL, NULL},
    {"torn record", 319, 0, 3, true, NULL, NULL},
    {"magic", 320, -EBADMSG, 0, false, "not a file of samples", magic},
    {"version", 320, -EBADMSG, 0, false, "version 2", version},
    {"record size", 320, -EBADMSG, 0, false, "32 bytes", record},
    {"lane", 320, -EBADMSG, 0, false, "record 2: unknown lane", lane},
    {"outcome", 320, -EBADMSG, 0, false, "record 2: unknown outcome", outcome},
    {"reason", 320, -EBADMSG, 0, false, "record 2: unknown reason", reason},
    {"load", 320, -EBADMSG, 0, false, "record 3: its load", load},
    {"time", 320, -EBADMSG, 0, false, "record 4: time out of range", time_range},
    {"zeros", 320, 0, 2, true, NULL, zeros},
    {"a hole", 320, -EBADMSG, 0, false, "samples.bin: record 2: all zero", hole},
    {"unsent", 320, 0, 4, false, NULL, no_time}, /* start = end = planned */
    {"clock backwards", 320, -EBADMSG, 0, false, "samples.bin: record 4: it ended before it started", backwards},
    {"before its plan", 320, -EBADMSG, 0, false, "samples.bin: record 4: it started before it was planned", too_early},
};

static void test_samples(void **state) {
    (void)state;
    put("history.jsonl", HEADER, strlen(HEADER));
    for (size_t i = 0; i < sizeof sample_rows / sizeof *sample_rows; i++) {
        const struct sample_row *r = &sample_rows[i];
        struct file f = {.magic = "CHAOSD-S", .version = 1, .size = 64};
        for (int k = 0; k < 4; k++)
            f.samples[k] = (struct sample){.planned_ns = k, .start_ns = k, .end_ns = k + 1};
        if (r->spoil)
            r->spoil(&f);
        put("samples.bin", &f, r->length);
        struct history *h = NULL;
        struct error err = {""};
        int rc = history_load(dir, &h, &err);
        if (rc != r->rc || (r->error && !strstr(err.text, r->error)))
            fail_msg("%s: %d, %s", r->name, rc, err.text);
        if (rc == 0 && (h->sample_count != r->count || h->torn != r->torn))
            fail_msg("%s: %zu records, torn %d", r->name, h->sample_count, h->torn);
        history_free(h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, setup, teardown),    cmocka_unit_test_setup_teardown(test_zero_tail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_samples, setup, teardown), cmocka_unit_test(test_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

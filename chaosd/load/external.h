/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What other tools say of their requests: a line, or a whole report, to samples. Pure, and made for foreign input: whatever the
 * bytes are, the answer is a sample, "not a sample" or why it cannot be read. What is known of each format stands in DEFINITIONS.md. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum external_format { EXTERNAL_NONE, EXTERNAL_JSONL, EXTERNAL_H2LOAD, EXTERNAL_K6, EXTERNAL_RALLY, EXTERNAL_FORMAT_COUNT };
extern const char *const external_format_names[]; /* NULL-terminated */
enum { EXTERNAL_LINE_MAX = 65536, EXTERNAL_WHY = 160, EXTERNAL_NAME = 64 };

struct external_sample {
    int64_t start_ns, end_ns; /* since the epoch, by the tool's own clock; relative: since the program's start. start <= end */
    bool relative, good;
    uint8_t reason;           /* enum reason; of a good one 0 */
    uint8_t steps;
    uint16_t status;          /* 0: none */
    char target[EXTERNAL_NAME]; /* "": none */
};

enum external_word { EXTERNAL_SAMPLE, EXTERNAL_OTHER /* well formed, and no request */, EXTERNAL_UNREADABLE };
/* A line without its end, of a format that has lines (jsonl, h2load, k6). why is written where it is unreadable. */
enum external_word external_line(enum external_format f, const char *line, size_t len, struct external_sample *ret, char why[EXTERNAL_WHY]);

struct external_sla { const char *scenario, *criterion, *detail; bool success; }; /* borrowed */
struct external_report {
    void (*sample)(const struct external_sample *s, void *arg);
    void (*unreadable)(size_t nth, const char *why, void *arg); /* the nth iteration of the report, from 1 */
    void (*sla)(const struct external_sla *s, void *arg);
    void *arg;
};
/* What `rally task report --json` wrote. False: it is no such report; why says so. */
bool external_rally(const char *text, size_t len, const struct external_report *r, char why[EXTERNAL_WHY]);

/* What an error's own words mean: "[Errno 111] Connection refused" is REASON_REFUSED; REASON_OTHER where nothing is known. */
uint8_t external_reason(const char *words);
/* Seconds as tools write them to ns; false: no number, or beyond all clocks. */
bool external_seconds(double s, int64_t *ret_ns);

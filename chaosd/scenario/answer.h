/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bytes sent and bytes expected, as tcp loads, tcp probes and exec probes write them. Pure: sending is io's. */
#include "base/buf.h"
#include "scenario/schema.h"

#include <regex.h>

enum encoding { ENCODING_TEXT, ENCODING_HEX };
enum number_compare { NUMBER_LT, NUMBER_LE, NUMBER_GT, NUMBER_GE, NUMBER_EQ, NUMBER_NE };

struct answer_spec { /* exactly one of the first five */
    const struct template *equals, *prefix, *contains;
    const char *regex, *compare;
    int64_t max;
    regex_t *compiled;           /* filled by the shape's check, as all below */
    enum number_compare operator;
    double number;
};
extern const struct shape answer_shape;

struct exchange_spec { /* embedded by who sends over TCP */
    const struct template *send; /* NULL: nothing */
    int encoding;                /* enum encoding: of send, and of expect's equals, prefix and contains */
    struct answer_spec *expect;  /* NULL: whatever comes, it is not awaited */
};
#define EXCHANGE_FIELDS(owner, at)                                                                                                       \
    {.name = "send", .type = F_TEMPLATE, .offset = offsetof(owner, at.send),                                                             \
     .doc = "What is sent once connected; YAML's double quotes know \"\\r\\n\"."},                                                     \
        {.name = "encoding", .type = F_ENUM, .offset = offsetof(owner, at.encoding), .def = "text", .values = encoding_names,            \
         .doc = "How send, and expect's equals, prefix and contains, are written: as text, or as hex digits (\"00 1f\")."},            \
        {.name = "expect", .type = F_OBJECT, .offset = offsetof(owner, at.expect), .shape = &answer_shape,                               \
         .doc = "What a right answer is; without it, a connection that takes what is sent is right."}
extern const char *const encoding_names[];
int exchange_check(const struct exchange_spec *s, const struct schema_at *at, struct error *err);
/* Every template of it, until fn returns non-zero. */
int exchange_templates(const struct exchange_spec *s, int (*fn)(const struct template *t, void *arg), void *arg);

/* The template's bytes, added to out. -EINVAL: no hex. */
int bytes_render(const struct template *t, enum encoding encoding, const struct template_vars *vars, struct buf *out, struct error *err);

struct answer { /* an expectation with its values filled in; zero-initialise, answer_free */
    const struct answer_spec *spec;
    struct buf bytes;
    size_t searched; /* without a find */
};
int answer_prepare(const struct answer_spec *s, enum encoding encoding, const struct template_vars *vars, struct answer *ret, struct error *err);
void answer_free(struct answer *a);

enum answer_state {
    ANSWER_MORE,    /* not yet decided */
    ANSWER_RIGHT,
    ANSWER_WRONG,
    ANSWER_CUT,     /* closed before it was whole */
    ANSWER_TOO_BIG, /* longer than max, and still not decided */
};
/* Looks at all that has come so far, again and again as it grows. closed: no more follows. why is written unless more or right. */
enum answer_state answer_judge(struct answer *a, const char *data, size_t len, bool closed, char *why, size_t size);

enum { SHOWN_SIZE = 100 };
/* Bytes for a person: printable ASCII, the rest as dots, clipped. */
const char *bytes_shown(const char *data, size_t len, char out[SHOWN_SIZE]);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Progress as plain lines: what a person watching wants to know of each event, and no more. */
#include "base/buf.h"
#include "scenario/scenario.h"

#include <stdbool.h>
#include <stdio.h>

struct progress {
    FILE *out;
    const struct scenario *scenario;
    bool quiet;
    long long schedule_t; /* private */
    bool scheduled;
};

void progress_event(const json_t *event, void *progress);
/* The event in a person's words, as it came from outside; false: not worth a line. */
bool progress_say(const json_t *event, struct buf *line);
/* Text from outside, with control characters made harmless. */
void progress_print_safe(FILE *f, const char *text);

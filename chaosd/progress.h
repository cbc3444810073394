/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Progress as plain lines: what a person watching wants to know of each event, and no more. */
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
/* Text from outside, with control characters made harmless. */
void progress_print_safe(FILE *f, const char *text);

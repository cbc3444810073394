/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The probes' part of the reports. */
#include "base/arena.h"
#include "base/buf.h"
#include "check/judge.h"

/* "750..910..1,010", "at least 910" or "not right again", in ms. */
const char *probe_length(const struct probe_stretch *s, char *out, size_t size);
const char *probe_asked_of(const struct probe_figures *p, char *out, size_t size); /* "web-0", "3 pods", "" */
json_t *probe_json(const struct judgement *j, size_t i); /* one of summary.json's "probes"; NULL: out of memory */
void probes_text(const struct judgement *j, struct arena *a, size_t width, struct buf *out);

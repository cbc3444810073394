/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Renders several runs together; output depends on nothing but the series. */
#include "base/buf.h"
#include "check/series.h"

int series_text(const struct series *s, size_t width, struct buf *out, struct error *err); /* series_text.c */
int series_json(const struct series *s, struct buf *out, struct error *err);               /* series_json.c */

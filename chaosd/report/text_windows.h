/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Lines of the text report about windows: how slow it was, who shares one, what the controls say. */
#include "base/arena.h"
#include "base/buf.h"
#include "check/judge.h"

/* Two lines a load: how it was before any fault, and when it was slower. */
void text_degradation(const struct judgement *j, struct arena *a, struct buf *out, size_t width);
/* Windows of which several acts have a part. */
void text_shared(const struct judgement *j, struct arena *a, struct buf *out, size_t width);
/* Whether the controls were good throughout, and which windows they cast doubt on. */
void text_control(const struct judgement *j, struct arena *a, struct buf *out, size_t width);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A network fault's figures as a person says them, for every report. */
#include "base/buf.h"
#include "check/judge.h"

/* "hit 1,234 packets (1.2 MB), 31 dropped; drained in 84 ms; measured +80.3 ms"; false, and nothing written, where there is nothing to say. */
bool effect_say(const struct act_figures *f, struct buf *out);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What can be read must also be judged and shown. */
#include "fuzz.h"
#include "report/report.h"

#include <errno.h>

/* The outcome is looked at, so that an error without a text is found too. */
static inline void fuzz_judge(void) {
    struct history *h = NULL;
    struct judgement *j = NULL;
    struct error err = {{0}};
    int rc = history_load(fuzz_dir, &h, &err);
    if (rc == 0)
        rc = judge(h, &j, &err);
    for (size_t i = 0; rc == 0 && report_kinds[i]; i++) {
        cleanup_buf struct buf out = {0};
        rc = report_kinds[i]->render(j, &out, &err);
    }
    if (rc < 0 && !*err.text)
        abort();
    judgement_free(j);
    history_free(h);
}

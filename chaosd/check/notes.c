/* SPDX-License-Identifier: Apache-2.0 */
#include "check/notes.h"

#include "check/words.h"

#include <stdio.h>

size_t notes_of(const struct lane_figures *f, char ret[NOTES_MOST][NOTE_SIZE]) {
    char count[WORDS_SIZE];
    size_t n = 0;
    if (f->lane >= 0 || f->target)
        return 0;
    if (f->insecure)
        snprintf(ret[n++], NOTE_SIZE, "NOT VERIFIED: %.100s accepted any TLS certificate (insecure: true); whoever answered counted as the target.", f->load);
    if (f->own_unsent)
        snprintf(ret[n++], NOTE_SIZE, "%s request%s of %.100s could not be sent: chaosd had no file, port or memory left. The target is not blamed for them.",
                 words_count(f->own_unsent, count), f->own_unsent == 1 ? "" : "s", f->load);
    if (f->stale_retry)
        snprintf(ret[n++], NOTE_SIZE, "%s request%s of %.100s met a reused connection that was dead: sent again where the method may be repeated, else bad (reset).",
                 words_count(f->stale_retry, count), f->stale_retry == 1 ? "" : "s", f->load);
    if (f->closed && !f->silent && f->planned)
        snprintf(ret[n++], NOTE_SIZE, "CLOSED LOOP: %.100s asks again only after an answer. Latency counts from the send, and whoever answers slowly is asked less: not to be "
                                      "compared with a planned load.", f->load);
    return n;
}

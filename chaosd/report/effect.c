/* SPDX-License-Identifier: Apache-2.0 */
#include "report/effect.h"

#include "check/words.h"

#include <string.h>

#define ZERO_NS 5000 /* nearer to zero it is shown as that: words_ms has two decimals */

static void say_measured(const struct act_measured *m, struct buf *out) {
    char a[WORDS_SIZE], b[WORDS_SIZE], c[WORDS_SIZE];
    if (!m->known)
        return;
    buf_str(out, "; measured ");
    if (m->why || !m->sent) {
        buf_printf(out, "nothing: %s", m->why ? m->why : "no echo request was sent");
        return;
    }
    if (m->added != UNKNOWN_NS)
        buf_printf(out, "%s%s", m->added <= -ZERO_NS ? "" : "+", words_ms(m->added > -ZERO_NS && m->added < ZERO_NS ? 0 : words_ns_ms(m->added), a));
    else
        buf_str(out, m->rtt == UNKNOWN_NS ? "no answer at all" : m->sent_after ? "no answer after it" : "no time for a baseline after it");
    if (m->lost && m->rtt != UNKNOWN_NS)
        buf_printf(out, ", %s lost (%s to %s)", words_percent((double)m->lost / (double)m->sent, a), words_percent(m->loss_low, b),
                   words_percent(m->loss_high, c));
}

bool effect_say(const struct act_figures *f, struct buf *out) {
    const struct act_effect *e = &f->affected;
    char n[WORDS_SIZE], size[WORDS_SIZE];
    if (!f->by || !f->acted)
        return false;
    bool drop = strcmp(f->by, "drop") == 0;
    if (e->packets < 0)
        buf_str(out, "what it hit is not known");
    else if (!e->packets)
        buf_str(out, "hit no packet");
    else
        buf_printf(out, "hit %s packet%s (%s)%s", words_count(e->packets, n), e->packets == 1 ? "" : "s", words_bytes(e->bytes, size),
                   drop ? e->packets == 1 ? ", dropped" : ", all dropped" : "");
    if (e->queue_dropped > 0)
        buf_printf(out, ", %s dropped", words_count(e->queue_dropped, n));
    if (!drop && e->drain != UNKNOWN_NS)
        buf_printf(out, "; drained in %s", words_ms(words_ns_ms(e->drain), n));
    if (e->cut)
        buf_printf(out, ", %s still queued were dropped", words_count(e->cut, n));
    say_measured(&f->measured, out);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the run waited for the steady state, and found it. */
#include "base/json.h"
#include "base/units.h"
#include "check/internal.h"

#include <inttypes.h>
#include <string.h>

/* Only of a run that was to wait. A wait that the schedule's end cut short is no finding: its acts were skipped, and say so. */
int steady_check(struct work *w, struct error *err) {
    const struct event *failed = NULL;
    size_t asked = 0, waits = 0, held = 0;
    int64_t longest = 0;
    char text[32];
    for (size_t i = 0; i < w->h->event_count; i++) {
        const struct event *e = &w->h->events[i];
        if (strcmp(e->op, "run/steady"))
            continue;
        int64_t took = time_or(e->data, "took_ns", 0);
        if (json_is_true(json_object_get(e->data, "held"))) {
            held++;
            continue;
        }
        asked++;
        waits += !strcmp(e->phase, "invoke");
        longest = took > longest ? took : longest;
        failed = !failed && !strcmp(e->phase, "fail") ? e : failed;
    }
    if (!asked)
        return 0;
    struct check_result *c = check_add(w, "steady", err);
    const char *why = failed ? json_str_or(failed->data, "why", "no reason given") : "";
    bool end = failed && !strcmp(json_str_or(failed->data, "when", ""), "end");
    format_duration(longest / 1000000 * 1000000, text, sizeof text);
    if (failed && end)
        return settle(c, VERDICT_FAIL, arena_printf(w->a, "At the end it was %s.", why), err);
    if (failed)
        return settle(c, VERDICT_FAIL, arena_printf(w->a, "Before %s #%" PRId64 " it was %s.", json_str_or(failed->data, "fault", "an act"),
                                                    json_int_or(failed->data, "occurrence", 0), why), err);
    const char *passed = waits ? arena_printf(w->a, "All was whole again each time; the longest wait took %s.", text) : "All was whole.";
    if (held)
        passed = arena_printf(w->a, "%s Before %zu act%s nothing was waited for, since another was held.", passed, held, held == 1 ? "" : "s");
    return settle(c, VERDICT_PASS, passed, err);
}

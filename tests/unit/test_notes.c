/* SPDX-License-Identifier: Apache-2.0 */
/* What a reader must not miss is in every report, and in the verdict where it has to be. */
#include "history_fixture.h"

#include "base/cleanup.h"
#include "check/notes.h"
#include "report/report.h"

#define HEADER(more, expect)                                                                                                               \
    "{\"schema\":1,\"loads\":[{\"name\":\"writes\",\"lanes\":[\"reused\"],\"deadline_ns\":500000000" more "}],\"expect\":[" expect "]}"

static void shown_everywhere(const struct judgement *j, const char *text, bool wanted) {
    static const char *const kinds[] = {"text", "markdown", "html"};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        cleanup_buf struct buf out = {0};
        struct error err;
        assert_int_equal(report_kind(kinds[i])->render(j, &out, &err), 0);
        if ((strstr(out.data, text) != NULL) != wanted)
            fail_msg("%s: \"%s\" is %s", kinds[i], text, wanted ? "missing" : "there");
    }
}

/* 100 good requests; then of the next ten the row's first few are as it says. */
static void what_is_odd_is_told(void **state) {
    (void)state;
    static const struct {
        const char *header;
        int own, stalled, stale, dead; /* dead: stale, and not sent again */
        enum verdict verdict, complete;
        const char *note, *why; /* why: of the run */
    } rows[] = {
        {HEADER("", ""), 0, 0, 0, 0, VERDICT_PASS, VERDICT_PASS, NULL, NULL},
        {HEADER(",\"insecure\":true", ""), 0, 0, 0, 0, VERDICT_PASS, VERDICT_PASS, "NOT VERIFIED: writes accepted any TLS certificate", NULL},
        {HEADER(",\"closed\":true", ""), 0, 0, 0, 0, VERDICT_PASS, VERDICT_PASS, "CLOSED LOOP: writes asks again only after an answer", NULL},
        {HEADER(",\"insecure\":false", ""), 0, 0, 0, 0, VERDICT_PASS, VERDICT_PASS, NULL, NULL},
        {HEADER("", ""), 3, 0, 0, 0, VERDICT_INCONCLUSIVE, VERDICT_INCONCLUSIVE, "3 requests of writes could not be sent: chaosd had no file",
         "chaosd had no file, port or memory left for 3 of writes's requests."},
        {HEADER("", ""), 0, 3, 0, 0, VERDICT_PASS, VERDICT_PASS, NULL, NULL}, /* a stall says it in another place */
        {HEADER("", ""), 0, 0, 1, 0, VERDICT_PASS, VERDICT_PASS, "1 request of writes met a reused connection that was dead", NULL},
        {HEADER("", "\"stale_retries == 0\""), 0, 0, 2, 1, VERDICT_FAIL, VERDICT_PASS, "3 requests of writes met", "stale_retries was 3, limit 0."},
        {HEADER("", "\"stale_retries(writes) < 3\""), 0, 0, 2, 0, VERDICT_PASS, VERDICT_PASS, "2 requests of writes met", NULL},
        {HEADER("", "\"stale_retries(writes) < 3\""), 0, 1, 2, 0, VERDICT_INCONCLUSIVE, VERDICT_PASS, "2 requests of writes met", NULL}, /* the unsent one could have been the third */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fixture f;
        fixture_init(&f, rows[i].header);
        fixture_requests(&f, 0, 10000, 10, OUTCOME_GOOD);
        for (int k = 0; k < 10; k++) {
            int at = k, own = at < rows[i].own, stalled = !own && (at -= rows[i].own) < rows[i].stalled;
            struct sample *s = fixture_sample(&f, 0, LANE_REUSED, SAMPLE_NO_TARGET, 10000 + k * 100, own || stalled ? 0 : 10,
                                              own || stalled ? OUTCOME_UNSENT_STALL : OUTCOME_GOOD);
            at -= rows[i].stalled;
            if (own)
                s->reason = REASON_OTHER;
            else if (!stalled && at < rows[i].stale + rows[i].dead)
                s->flags |= SAMPLE_STALE_RETRY;
            if (!own && !stalled && at >= rows[i].stale && at < rows[i].stale + rows[i].dead) {
                s->outcome = OUTCOME_BAD;
                s->reason = REASON_RESET;
            }
        }
        fixture_requests(&f, 11000, 15000, 10, OUTCOME_GOOD);
        fixture_event(&f, 15100, "run/end", "info", "", "", "{}");
        struct judgement *j = judged(&f);
        const struct lane_figures *l = &j->lanes[0];
        if (j->verdict != rows[i].verdict || check(j, "complete")->verdict != rows[i].complete)
            fail_msg("row %zu: %s", i, j->why);
        assert_int_equal(l->own_unsent, rows[i].own);
        assert_int_equal(l->stalled_unsent, rows[i].own + rows[i].stalled);
        assert_int_equal(l->stale_retry, rows[i].stale + rows[i].dead);
        assert_int_equal(l->good, 150 - rows[i].own - rows[i].stalled - rows[i].dead);
        if (rows[i].why)
            assert_string_equal(j->why, rows[i].why);
        static const char *const all[] = {"NOT VERIFIED", "no file, port or memory", "reused connection that was dead", "CLOSED LOOP"};
        for (size_t k = 0; k < ARRAY_SIZE(all); k++)
            shown_everywhere(j, all[k], (rows[i].note && strstr(rows[i].note, all[k])) || (k == 1 && rows[i].own) || (k == 2 && rows[i].stale));
        char notes[NOTES_MOST][NOTE_SIZE];
        assert_int_equal(notes_of(l, notes), rows[i].note != NULL);
        if (rows[i].note)
            assert_memory_equal(notes[0], rows[i].note, strlen(rows[i].note));
        assert_int_equal(notes_of(&j->lanes[1], notes), 0); /* the lane's row says nothing a second time */
        judgement_free(j);
        fixture_free(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_odd_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

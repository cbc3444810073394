/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check/windows.h"

#include <string.h>

#define U WINDOW_UNKNOWN

/* A row: requests as "start+duration" in ms with g(ood), b(ad) or u(nsent by a stall); K goods over H ms. */
struct want { int64_t before, start, min, point, max, bad; int stalled; };
static const struct row {
    const char *name;
    int64_t goods, over;
    struct { int what; int64_t start, duration; } requests[16];
    struct want want[3];
    size_t count;
} rows[] = {
    {"no requests", 2, 0, {{0}}, {{0}}, 0},
    {"all good", 2, 0, {{'g', 0, 1}, {'g', 10, 1}}, {{0}}, 0},
    /* max: 31 - 0 = 31; min: 20 - 15 = 5; point: 31 - 10 = 21 */
    {"plain", 2, 0, {{'g', 0, 1}, {'b', 10, 5}, {'b', 20, 5}, {'g', 30, 1}, {'g', 40, 1}}, {{0, 10, 5, 21, 31, 2, 0}}, 1},
    /* one bad: nothing lies between the first bad's end and the last bad's start */
    {"one bad", 2, 0, {{'g', 0, 1}, {'b', 10, 5}, {'g', 20, 1}, {'g', 30, 1}}, {{0, 10, 0, 11, 21, 1, 0}}, 1},
    /* a single good between two bads is no recovery with K = 2: they merge. min: 30 - 15 */
    {"merge by count",
     2,
     0,
     {{'g', 0, 1}, {'b', 10, 5}, {'g', 20, 1}, {'b', 30, 5}, {'g', 40, 1}, {'g', 50, 1}},
     {{0, 10, 15, 31, 41, 2, 0}},
     1},
    /* with K = 1 and H = 0 they do not; the second's last good before is the one at 20 */
    {"two windows",
     1,
     0,
     {{'g', 0, 1}, {'b', 10, 5}, {'g', 20, 1}, {'b', 30, 5}, {'g', 40, 1}},
     {{0, 10, 0, 11, 21, 1, 0}, {20, 30, 0, 11, 21, 1, 0}},
     2},
    /* H = 20: three goods whose ends are 21, 31, 41 span exactly 20 and close; the end is the first one's */
    {"span reached",
     2,
     20,
     {{'g', 0, 1}, {'b', 10, 5}, {'g', 20, 1}, {'g', 30, 1}, {'g', 40, 1}, {'b', 50, 5}, {'g', 60, 1}, {'g', 80, 1}},
     {{0, 10, 0, 11, 21, 1, 0}, {40, 50, 0, 11, 21, 1, 0}},
     2},
    /* H = 21: they do not, so the bad one at 50 belongs to the same window. min: 50 - 15; closed by ends 61, 82 */
    {"span missed",
     2,
     21,
     {{'g', 0, 1}, {'b', 10, 5}, {'g', 20, 1}, {'g', 30, 1}, {'g', 40, 1}, {'b', 50, 5}, {'g', 60, 1}, {'g', 81, 1}},
     {{0, 10, 35, 51, 61, 2, 0}},
     1},
    {"no good before", 1, 0, {{'b', 10, 5}, {'b', 20, 5}, {'g', 30, 1}}, {{U, 10, 5, 21, U, 2, 0}}, 1},
    {"never closed", 2, 0, {{'g', 0, 1}, {'b', 10, 5}, {'b', 40, 5}, {'g', 50, 1}}, {{0, 10, 25, U, U, 2, 0}}, 1},
    {"only bad", 2, 0, {{'b', 0, 5}}, {{U, 0, 0, U, U, 1, 0}}, 1},
    /* the first bad one takes until 100, after the last bad's start: nothing is certain. min 0, not negative */
    {"long first bad", 1, 0, {{'g', 0, 1}, {'b', 10, 90}, {'b', 20, 5}, {'g', 30, 1}}, {{0, 10, 0, 21, 31, 2, 0}}, 1},
    {"unsent inside", 1, 0, {{'g', 0, 1}, {'b', 10, 5}, {'u', 20, 0}, {'g', 30, 1}}, {{0, 10, 0, 21, 31, 1, 1}}, 1},
    {"unsent right before", 1, 0, {{'g', 0, 1}, {'u', 5, 0}, {'b', 10, 5}, {'g', 30, 1}}, {{0, 10, 0, 21, 31, 1, 1}}, 1},
    {"unsent before a good one", 1, 0, {{'g', 0, 1}, {'u', 5, 0}, {'g', 7, 1}, {'b', 10, 5}, {'g', 30, 1}}, {{7, 10, 0, 21, 24, 1, 0}}, 1},
    /* within the closing goods: the first of them may not have been the end, but it is what was seen */
    {"unsent while closing",
     3,
     0,
     {{'g', 0, 1}, {'b', 10, 5}, {'g', 20, 1}, {'u', 30, 0}, {'g', 40, 1}, {'g', 50, 1}},
     {{0, 10, 0, 11, 21, 1, 0}},
     1},
    /* between two bad ones, too short for the 30 ms of goods that a recovery takes: it changes nothing; with H = 25 it may have hidden one */
    {"unsent between bad ones",
     1,
     30,
     {{'g', 0, 1}, {'b', 10, 5}, {'u', 20, 0}, {'b', 35, 5}, {'g', 50, 1}, {'g', 80, 1}},
     {{0, 10, 20, 41, 51, 2, 0}},
     1},
    {"a recovery fits in",
     1,
     25,
     {{'g', 0, 1}, {'b', 10, 5}, {'u', 20, 0}, {'b', 35, 5}, {'g', 50, 1}, {'g', 80, 1}},
     {{0, 10, 20, 41, 51, 2, 1}},
     1},
    {"a recovery fits in before a good one",
     2,
     25,
     {{'g', 0, 1}, {'b', 10, 5}, {'u', 20, 0}, {'g', 35, 1}, {'b', 40, 1}, {'g', 50, 1}, {'g', 80, 1}},
     {{0, 10, 25, 41, 51, 2, 1}},
     1},
    /* the gap after the last bad was missed, then another bad one came: the edge is where nothing was missed */
    {"unsent, good, bad",
     2,
     30,
     {{'g', 0, 1}, {'b', 10, 5}, {'u', 20, 0}, {'g', 35, 1}, {'b', 40, 1}, {'g', 50, 1}, {'g', 80, 1}},
     {{0, 10, 25, 41, 51, 2, 0}},
     1},
    {"clock backwards", 1, 0, {{'g', 0, 1}, {'b', 10, -20}, {'g', 11, -50}}, {{0, 10, 20, 0, 0, 1, 0}}, 1},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct windows w;
        windows_init(&w, rows[i].goods, rows[i].over);
        for (size_t k = 0; k < 16 && rows[i].requests[k].what; k++) {
            static const char kinds[] = "gbsu";
            enum request what = (enum request)(strchr(kinds, rows[i].requests[k].what) - kinds);
            int64_t start = rows[i].requests[k].start;
            assert_int_equal(windows_add(&w, k, what, start, start + rows[i].requests[k].duration), 0);
        }
        if (w.count != rows[i].count)
            fail_msg("%s: %zu windows", rows[i].name, w.count);
        for (size_t k = 0; k < w.count; k++) {
            const struct want *x = &rows[i].want[k];
            const struct window *g = &w.list[k];
            if (g->before != x->before || g->first_start != x->start || window_min(g) != x->min || window_point(g) != x->point ||
                window_max(g) != x->max || g->bad != x->bad || g->stalled != x->stalled)
                fail_msg("%s, window %zu: before %ld start %ld min %ld point %ld max %ld bad %ld stalled %d", rows[i].name, k,
                         (long)g->before, (long)g->first_start, (long)window_min(g), (long)window_point(g), (long)window_max(g),
                         (long)g->bad, g->stalled);
        }
        windows_free(&w);
    }
}

/* The bracket is [0, 66], H = 20 (the goods' ends are 66 and 86). A stall counts where it touches the gap before the first bad (0..10), that one's end (15),
 * the gap after the last bad (50..60) or the end, or where it is as long as H. */
static void test_stall(void **state) {
    (void)state;
    static const struct { int64_t from, to; bool stalled; } stalls[] = {
        {-9, -1, false}, {-9, 0, true},   {5, 6, true},    {10, 11, true},  {11, 14, false}, {12, 15, true}, {16, 34, false}, {16, 35, false},
        {16, 36, true},  {40, 49, false}, {40, 50, true},  {55, 56, true},  {60, 61, true},  {61, 65, false}, {62, 66, true}, {67, 70, false},
        {67, 99, false}, {-50, -1, false}, {-5, 90, true},
    };
    for (size_t i = 0; i < sizeof stalls / sizeof *stalls; i++) {
        struct windows w;
        windows_init(&w, 1, 20);
        windows_add(&w, 0, REQUEST_GOOD, 0, 1);
        windows_add(&w, 1, REQUEST_BAD, 10, 15);
        windows_add(&w, 2, REQUEST_BAD, 30, 35);
        windows_add(&w, 3, REQUEST_BAD, 50, 55);
        windows_add(&w, 4, REQUEST_GOOD, 60, 66);
        windows_add(&w, 5, REQUEST_GOOD, 80, 86);
        assert_int_equal(window_max(&w.list[0]), 66);
        windows_stall(&w, stalls[i].from, stalls[i].to, 86);
        if (w.list[0].stalled != stalls[i].stalled)
            fail_msg("stall %ld..%ld: %d", (long)stalls[i].from, (long)stalls[i].to, w.list[0].stalled);
        windows_free(&w);
    }
}

/* Closed by the goods at 20, 40 and 50; what was missed at 30 may have been bad: then the end is that of the one at 40. A bad one after
 * that begins the streak anew, and what was missed before it is inside the window. */
static void test_late(void **state) {
    (void)state;
    struct windows w;
    for (int again = 0; again < 2; again++) {
        windows_init(&w, 3, 0);
        windows_add(&w, 0, REQUEST_GOOD, 0, 1);
        windows_add(&w, 1, REQUEST_BAD, 10, 15);
        windows_add(&w, 2, REQUEST_GOOD, 20, 21);
        windows_add(&w, 3, REQUEST_UNSENT_STALL, 30, 30);
        windows_add(&w, 4, REQUEST_GOOD, 40, 41);
        if (again)
            windows_add(&w, 5, REQUEST_BAD, 45, 46);
        for (int t = 50; t < 80; t += 10)
            windows_add(&w, 6, REQUEST_GOOD, t, t + 1);
        assert_int_equal(w.count, 1);
        assert_int_equal(w.list[0].end, again ? 51 : 21);
        assert_int_equal(w.list[0].late, again ? U : 41);
        assert_false(w.list[0].stalled);
        windows_free(&w);
    }
}

/* An open window reaches to the end of the data. */
static void test_stall_open(void **state) {
    (void)state;
    struct windows w;
    windows_init(&w, 5, 0);
    windows_add(&w, 0, REQUEST_BAD, 10, 15);
    windows_stall(&w, 51, 60, 50);
    assert_false(w.list[0].stalled);
    windows_stall(&w, 50, 60, 50);
    assert_true(w.list[0].stalled);
    windows_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_stall), cmocka_unit_test(test_late), cmocka_unit_test(test_stall_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "fake_kinds.h"
#include "scenario/plan.h"

#define S NS_PER_S
#define MS NS_PER_MS

/* A scenario made by hand: what a plan needs and no more. */
static struct scenario drill(struct fault_spec *faults, size_t count, int64_t duration, int64_t settle) {
    return (struct scenario){.name = "drill", .faults = {faults, count}, .duration_ns = duration, .settle_ns = settle};
}

static struct fault_spec every(const char *name, int64_t from, int64_t to, int64_t count, int64_t held) {
    return (struct fault_spec){.name = name, .kind = {.kind = &fake_kill_row}, .every = {from, to}, .count = count, .for_ns = held};
}

static const int64_t two_times[] = {45 * S, 20 * S}; /* unsorted: occurrences follow time all the same */
static struct fault_spec twice(const char *name) {
    return (struct fault_spec){.name = name, .kind = {.kind = &fake_pause_row}, .at = {two_times, 2}, .for_ns = 3 * S};
}

static struct plan must(const struct scenario *s, uint64_t seed) {
    struct plan p = {0};
    struct error err = {""};
    if (plan_make(s, seed, &p, &err) < 0)
        fail_msg("%s", err.text);
    return p;
}

static char *text_of(const struct plan *p, const struct scenario *s) {
    json_t *j = plan_to_json(p, s);
    assert_non_null(j);
    char *text = json_dumps(j, JSON_INDENT(1));
    json_decref(j);
    assert_non_null(text);
    return text;
}

/* Computed apart, by another program, from the definitions of splitmix64, FNV-1a and xoshiro256**. It is the contract
 * "same seed, same plan": when this fails, plans of stored runs no longer repeat. */
static void the_plan_is_this_one(void **state) {
    (void)state;
    struct fault_spec faults[] = {every("kill-leader", 15 * S, 25 * S, 3, 0), twice("pause")};
    struct scenario s = drill(faults, 2, 80 * S, 5 * S);
    struct plan p = must(&s, 7);
    static const struct plan_act want[] = {
        {1, 1, 20000 * MS, 3 * S, UINT64_C(0x3b165e4d651638dc)}, {0, 1, 20188 * MS, 0, UINT64_C(0x12d7b797fa79d6dd)},
        {0, 2, 41740 * MS, 0, UINT64_C(0xfe72c9735cc666da)},     {1, 2, 45000 * MS, 3 * S, UINT64_C(0x61c7f6ec114a9d6a)},
        {0, 3, 64282 * MS, 0, UINT64_C(0x37443df66e8f4393)},
    };
    assert_int_equal(p.count, ARRAY_SIZE(want));
    assert_int_equal(p.seed, 7);
    for (size_t i = 0; i < p.count; i++) {
        assert_int_equal(p.acts[i].fault, want[i].fault);
        assert_int_equal(p.acts[i].occurrence, want[i].occurrence);
        assert_int_equal(p.acts[i].at_ns, want[i].at_ns);
        assert_int_equal(p.acts[i].for_ns, want[i].for_ns);
        assert_true(p.acts[i].draw == want[i].draw);
    }
    plan_free(&p);
}

static const char golden[] = "{\n"
                             " \"scenario\": \"drill\",\n"
                             " \"seed\": 7,\n"
                             " \"duration_ns\": 50000000000,\n"
                             " \"duration\": \"50s\",\n"
                             " \"settle_ns\": 5000000000,\n"
                             " \"faults\": [\n"
                             "  {\n"
                             "   \"name\": \"kill-leader\",\n"
                             "   \"kind\": \"pod-kill\",\n"
                             "   \"asked\": 3,\n"
                             "   \"planned\": 2\n"
                             "  },\n"
                             "  {\n"
                             "   \"name\": \"fill\",\n"
                             "   \"kind\": \"pod-kill\",\n"
                             "   \"asked\": null,\n"
                             "   \"planned\": 0\n"
                             "  }\n"
                             " ],\n"
                             " \"acts\": [\n"
                             "  {\n"
                             "   \"fault\": 0,\n"
                             "   \"name\": \"kill-leader\",\n"
                             "   \"kind\": \"pod-kill\",\n"
                             "   \"occurrence\": 1,\n"
                             "   \"at_ns\": 20188000000,\n"
                             "   \"at\": \"20.188s\",\n"
                             "   \"for_ns\": 0,\n"
                             "   \"for\": null,\n"
                             "   \"draw\": \"12d7b797fa79d6dd\"\n"
                             "  },\n"
                             "  {\n"
                             "   \"fault\": 0,\n"
                             "   \"name\": \"kill-leader\",\n"
                             "   \"kind\": \"pod-kill\",\n"
                             "   \"occurrence\": 2,\n"
                             "   \"at_ns\": 41740000000,\n"
                             "   \"at\": \"41.74s\",\n"
                             "   \"for_ns\": 0,\n"
                             "   \"for\": null,\n"
                             "   \"draw\": \"fe72c9735cc666da\"\n"
                             "  }\n"
                             " ]\n"
                             "}";

static void json_is_byte_for_byte(void **state) {
    (void)state;
    struct fault_spec faults[] = {every("kill-leader", 15 * S, 25 * S, 3, 0), every("fill", 40 * S, 60 * S, 0, 10 * S)};
    struct scenario s = drill(faults, 2, 50 * S, 5 * S);
    struct plan p = must(&s, 7), again = must(&s, 7), other = must(&s, 8);
    char *a = text_of(&p, &s), *b = text_of(&again, &s), *c = text_of(&other, &s);
    assert_string_equal(a, golden);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    free(a);
    free(b);
    free(c);
    plan_free(&p);
    plan_free(&again);
    plan_free(&other);
}

static void large_seeds_stay_readable(void **state) {
    (void)state;
    struct fault_spec faults[] = {twice("pause")};
    struct scenario s = drill(faults, 1, 80 * S, 5 * S);
    struct plan p = must(&s, UINT64_MAX);
    char *text = text_of(&p, &s);
    assert_non_null(strstr(text, "\"seed\": \"18446744073709551615\""));
    assert_non_null(strstr(text, "\"for\": \"3s\""));
    free(text);
    plan_free(&p);
}

/* For 2000 seeds: gaps inside the range, whole ms, everything ended and settled in time, and no act missing that would fit. */
static void acts_keep_the_range_and_the_end(void **state) {
    (void)state;
    struct fault_spec faults[] = {every("k", 2 * S, 5 * S, 0, 4 * S)};
    struct scenario s = drill(faults, 1, 60 * S, 5 * S);
    int64_t least = INT64_MAX, most = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct plan p = must(&s, seed);
        int64_t last = 0;
        for (size_t i = 0; i < p.count; i++) {
            int64_t gap = p.acts[i].at_ns - last;
            assert_true(gap >= 2 * S && gap <= 5 * S);
            assert_int_equal(p.acts[i].at_ns % MS, 0);
            assert_int_equal(p.acts[i].occurrence, i + 1);
            least = gap < least ? gap : least;
            most = gap > most ? gap : most;
            last = p.acts[i].at_ns;
        }
        assert_true(last + 4 * S + 5 * S <= 60 * S);
        assert_true(last + 5 * S + 4 * S + 5 * S > 60 * S); /* the next would not surely have fitted */
        plan_free(&p);
    }
    assert_true(least < 2 * S + 10 * MS && most > 5 * S - 10 * MS); /* both ends are reached */
}

/* As many as there is room for are the first acts of the same sequence that count cuts. */
static void count_only_cuts(void **state) {
    (void)state;
    struct fault_spec all[] = {every("k", 2 * S, 5 * S, 0, 0)}, some[] = {every("k", 2 * S, 5 * S, 4, 0)};
    struct scenario a = drill(all, 1, 60 * S, 5 * S), b = drill(some, 1, 60 * S, 5 * S), c = drill(all, 1, 600 * S, 5 * S);
    struct plan pa = must(&a, 3), pb = must(&b, 3), pc = must(&c, 3);
    assert_int_equal(pb.count, 4);
    assert_true(pa.count > 4 && pc.count > pa.count);
    assert_memory_equal(pa.acts, pb.acts, 4 * sizeof *pb.acts);
    assert_memory_equal(pa.acts, pc.acts, pa.count * sizeof *pa.acts);
    plan_free(&pa);
    plan_free(&pb);
    plan_free(&pc);
}

/* Another fault beside it, or a change to it, moves nothing. */
static void faults_do_not_disturb_each_other(void **state) {
    (void)state;
    struct fault_spec alone[] = {every("k", 2 * S, 5 * S, 4, 0)};
    struct fault_spec both[] = {every("other", 3 * S, 7 * S, 2, 0), every("k", 2 * S, 5 * S, 4, 0)};
    struct scenario a = drill(alone, 1, 60 * S, 5 * S), b = drill(both, 2, 60 * S, 5 * S);
    struct plan pa = must(&a, 9), pb = must(&b, 9);
    size_t k = 0;
    for (size_t i = 0; i < pb.count; i++)
        if (pb.acts[i].fault == 1) {
            assert_int_equal(pb.acts[i].at_ns, pa.acts[k].at_ns);
            assert_true(pb.acts[i].draw == pa.acts[k].draw);
            k++;
        }
    assert_int_equal(k, 4);
    plan_free(&pa);
    plan_free(&pb);
}

static void sorted_by_time_then_fault(void **state) {
    (void)state;
    struct fault_spec faults[] = {twice("b"), twice("a"), every("c", 1 * S, 1 * S, 60, 0)};
    struct scenario s = drill(faults, 3, 80 * S, 5 * S);
    struct plan p = must(&s, 1);
    assert_int_equal(p.count, 64);
    for (size_t i = 1; i < p.count; i++) {
        const struct plan_act *x = &p.acts[i - 1], *y = &p.acts[i];
        assert_true(x->at_ns < y->at_ns || (x->at_ns == y->at_ns && x->fault < y->fault));
    }
    plan_free(&p);
}

static void fixed_gaps_and_fine_ones(void **state) {
    (void)state;
    struct fault_spec fixed[] = {every("k", 20 * S, 20 * S, 0, 0)}, fine[] = {every("k", 1200000, 1700000, 5, 0)};
    struct scenario a = drill(fixed, 1, 80 * S, 5 * S), b = drill(fine, 1, S, 0);
    struct plan pa = must(&a, 1), pb = must(&b, 1);
    assert_int_equal(pa.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pa.acts[i].at_ns, ((int64_t)i + 1) * 20 * S);
    assert_int_equal(pb.count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(pb.acts[i].at_ns, ((int64_t)i + 1) * 2 * MS); /* no whole ms lies inside: the next above */
    plan_free(&pa);
    plan_free(&pb);
}

static void times_are_rounded(void **state) {
    (void)state;
    static const int64_t fine[] = {1499999, 1500000};
    struct fault_spec faults[] = {{.name = "k", .kind = {.kind = &fake_kill_row}, .at = {fine, 2}}};
    struct scenario s = drill(faults, 1, S, 0);
    struct plan p = must(&s, 1);
    assert_int_equal(p.acts[0].at_ns, 1 * MS);
    assert_int_equal(p.acts[1].at_ns, 2 * MS);
    plan_free(&p);
}

static void no_faults_no_acts(void **state) {
    (void)state;
    struct scenario s = drill(NULL, 0, 10 * S, 5 * S);
    struct plan p = must(&s, 1);
    assert_int_equal(p.count, 0);
    json_t *j = plan_to_json(&p, &s);
    assert_int_equal(json_array_size(json_object_get(j, "acts")), 0);
    json_decref(j);
    plan_free(&p);
    plan_free(&p);
    plan_free(NULL);
}

static void nothing_fits_is_no_crash(void **state) {
    (void)state;
    struct fault_spec faults[] = {every("k", S, 2 * S, 0, 10 * S)};
    struct scenario s = drill(faults, 1, 5 * S, 20 * S);
    struct plan p = must(&s, 1);
    assert_int_equal(p.count, 0);
    plan_free(&p);
}

static void too_many_acts_are_refused(void **state) {
    (void)state;
    struct fault_spec faults[] = {every("k", MS, MS, 0, 0)};
    struct scenario s = drill(faults, 1, 86400 * S, 0);
    struct plan p = {.count = 4711};
    struct error err = {""};
    assert_int_equal(plan_make(&s, 1, &p, &err), -E2BIG);
    assert_non_null(strstr(err.text, "\"k\""));
    assert_int_equal(p.count, 4711); /* untouched */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_is_this_one),
        cmocka_unit_test(json_is_byte_for_byte),
        cmocka_unit_test(large_seeds_stay_readable),
        cmocka_unit_test(acts_keep_the_range_and_the_end),
        cmocka_unit_test(count_only_cuts),
        cmocka_unit_test(faults_do_not_disturb_each_other),
        cmocka_unit_test(sorted_by_time_then_fault),
        cmocka_unit_test(fixed_gaps_and_fine_ones),
        cmocka_unit_test(times_are_rounded),
        cmocka_unit_test(no_faults_no_acts),
        cmocka_unit_test(nothing_fits_is_no_crash),
        cmocka_unit_test(too_many_acts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

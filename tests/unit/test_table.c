/* SPDX-License-Identifier: Apache-2.0 */
/* base/table: what is added is found, by its hash and among others of the same, until it is taken; through all growth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/table.h"

#include <stdlib.h>

enum { N = 5000, SAME = 7 }; /* so many of each hash */

struct entry {
    struct table_link link;
    int value;
    bool seen;
};

static struct table_link **at_of(const struct table *t, int value) {
    for (struct table_link **at = table_find(t, (uint32_t)(value / SAME), NULL); at; at = table_find(t, (uint32_t)(value / SAME), at))
        if (((struct entry *)*at)->value == value)
            return at;
    return NULL;
}

static void added_found_taken(void **state) {
    (void)state;
    struct table t = {0};
    struct entry *replaced = NULL;
    assert_null(table_find(&t, 1, NULL));
    assert_null(table_next(&t, NULL));
    for (int i = 0; i < N; i++) {
        struct entry *e = calloc(1, sizeof *e);
        e->value = i;
        assert_true(table_reserve(&t));
        table_add(&t, &e->link, (uint32_t)(i / SAME));
        assert_non_null(at_of(&t, i / 2));
    }
    for (int i = 0; i < N; i += 3) {
        struct table_link **at = at_of(&t, i);
        free(table_take(&t, at));
        assert_null(at_of(&t, i));
    }
    struct table_link **at = at_of(&t, 1);
    struct entry *e = calloc(1, sizeof *e);
    e->value = -1;
    replaced = (struct entry *)*at;
    table_replace(at, &e->link);
    assert_null(at_of(&t, 1));
    assert_int_equal(replaced->value, 1);
    free(replaced);

    size_t count = 0;
    for (struct table_link *l = NULL; (l = table_next(&t, l)); count++) {
        struct entry *one = (struct entry *)l;
        assert_false(one->seen);
        one->seen = true;
        assert_true(one->value == -1 || (one->value % 3 != 0 && one->value != 1));
    }
    assert_int_equal(count, t.count);
    assert_int_equal(count, N - (N + 2) / 3);
    table_free(&t, free);
    assert_int_equal(t.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(added_found_taken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

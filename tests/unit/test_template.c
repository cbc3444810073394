/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/template.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *get(void *arg, const char *name) {
    static const char *const vars[][2] = {
        {"a", "A"},           {"pod.name", "etcd-0"},      {"capture.x-y", "v"}, {"quote", "say \"hi\"\\\n\x01"}, {"url", "a b/\xc3\xa9~"},
        {"one", "M"},         {"two", "Ma"},               {"three", "Man"},     {"empty", ""},                  {"dollar", "${a}"},
        {"high", "\xff\xfe"}, {"_u", "underscore"},
    };
    (void)arg;
    for (size_t i = 0; i < ARRAY_SIZE(vars); i++)
        if (strcmp(vars[i][0], name) == 0)
            return vars[i][1];
    return NULL;
}

static const struct template_vars vars = {.get = get};

static int make_arena(void **state) {
    return (*state = arena_new()) ? 0 : -1;
}

static int drop_arena(void **state) {
    arena_free(*state);
    return 0;
}

static void renders(void **state) {
    static const struct {
        const char *text;
        unsigned flags;
        const char *out;
        bool literal;
    } rows[] = {
        {"", 0, "", true},
        {"plain", 0, "plain", true},
        {"${a}", 0, "A", false},
        {"x${a}y${pod.name}z", 0, "xAyetcd-0z", false},
        {"${a}${a}", 0, "AA", false},
        {"${capture.x-y}", 0, "v", false},
        {"${_u}", 0, "underscore", false},
        {"${empty}", 0, "", false},
        {"$${a}", 0, "${a}", true},
        {"$$${a}", 0, "$${a}", true},
        {"$$a $ a$", 0, "$$a $ a$", true},
        {"100$${${a}}", 0, "100${A}", false},
        {"${dollar}", 0, "${a}", false},
        {"}{", 0, "}{", true},
        {"${one|base64}", 0, "TQ==", false},
        {"${two|base64}", 0, "TWE=", false},
        {"${three|base64}", 0, "TWFu", false},
        {"${empty|base64}", 0, "", false},
        {"${high|base64}", 0, "//4=", false},
        {"${quote|json}", 0, "say \\\"hi\\\"\\\\\\n\\u0001", false},
        {"${url|url}", 0, "a%20b%2F%C3%A9~", false},
        {"{\"k\":\"${quote}\"}", TEMPLATE_JSON, "{\"k\":\"say \\\"hi\\\"\\\\\\n\\u0001\"}", false},
        {"${two|base64}", TEMPLATE_JSON, "TWE=", false},
        {"${empty|url}", TEMPLATE_JSON, "", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct template *t;
        struct error err = {""};
        cleanup_buf struct buf out = {0};
        if (template_compile(*state, rows[i].text, rows[i].flags, &t, &err) != 0)
            fail_msg("\"%s\": %s", rows[i].text, err.text);
        assert_int_equal(template_render(t, &vars, &out, &err), 0);
        assert_non_null(out.data);
        assert_string_equal(out.data, rows[i].out);
        assert_string_equal(template_text(t), rows[i].text);
        assert_int_equal(template_is_literal(t), rows[i].literal);
    }
}

static void refuses(void **state) {
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"ab${c", "column 3: \"${\" without"},
        {"\xc3\xa9${", "column 2:"},
        {"${}", "not a name"},
        {"${1a}", "\"1a\" is not a name"},
        {"${a b}", "not a name"},
        {"${ a}", "not a name"},
        {"${a|bse64}", "column 5: unknown filter \"bse64\", did you mean \"base64\"?"},
        {"${a|}", "unknown filter"},
        {"${a|zip}", "there are"},
        {"${|json}", "not a name"},
        {"${a|json|url}", "unknown filter"},
        {"${a${b}}", "not a name"},
        {"${-a}", "not a name"},
        {"${.a}", "not a name"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct template *t = NULL;
        struct error err = {""};
        assert_int_equal(template_compile(*state, rows[i].text, 0, &t, &err), -EINVAL);
        assert_null(t);
        if (!strstr(err.text, rows[i].says))
            fail_msg("\"%s\": \"%s\" does not say \"%s\"", rows[i].text, err.text, rows[i].says);
        assert_int_equal(template_compile(*state, rows[i].text, 0, &t, NULL), -EINVAL);
    }
}

static void missing_value_leaves_the_buffer(void **state) {
    const struct template *t;
    struct error err;
    cleanup_buf struct buf out = {0};
    buf_str(&out, "before");
    assert_int_equal(template_compile(*state, "${a} ${nobody}", 0, &t, NULL), 0);
    assert_int_equal(template_render(t, &vars, &out, &err), -ENOENT);
    assert_non_null(strstr(err.text, "${nobody}"));
    assert_string_equal(out.data, "before");
    assert_int_equal(out.len, 6);
    assert_int_equal(template_render(t, NULL, &out, NULL), -ENOENT);
}

static int collect(const char *name, void *arg) {
    struct buf *b = arg;
    if (strcmp(name, "stop") == 0)
        return 5;
    buf_printf(b, "%s,", name);
    return 0;
}

static void names(void **state) {
    const struct template *t;
    cleanup_buf struct buf out = {0};
    assert_int_equal(template_compile(*state, "${a}-$${no}${b.c|url}", 0, &t, NULL), 0);
    assert_int_equal(template_names(t, collect, &out), 0);
    assert_string_equal(out.data, "a,b.c,");
    assert_int_equal(template_compile(*state, "${stop}${a}", 0, &t, NULL), 0);
    buf_clear(&out);
    assert_int_equal(template_names(t, collect, &out), 5);
    assert_int_equal(out.len, 0);
}

static void many_parts(void **state) {
    const struct template *t;
    cleanup_buf struct buf text = {0}, out = {0};
    for (int i = 0; i < 1000; i++)
        buf_str(&text, "${a}.");
    assert_int_equal(template_compile(*state, text.data, 0, &t, NULL), 0);
    assert_int_equal(template_render(t, &vars, &out, NULL), 0);
    assert_int_equal(out.len, 2000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders), cmocka_unit_test(refuses), cmocka_unit_test(missing_value_leaves_the_buffer),
        cmocka_unit_test(names),   cmocka_unit_test(many_parts),
    };
    return cmocka_run_group_tests(tests, make_arena, drop_arena);
}

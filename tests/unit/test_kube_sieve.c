/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "kube/sieve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static const struct keep meta[] = {{"name", NULL}, {"labels", NULL}, {NULL, NULL}};
static const struct keep state[] = {{"phase", NULL}, {"c", (const struct keep[]){{"id", NULL}, {NULL, NULL}}}, {NULL, NULL}};
static const struct keep object[] = {{"kind", NULL}, {"metadata", meta}, {"status", state}, {NULL, NULL}};
static const struct keep around[] = {{"kind", NULL}, {"metadata", NULL}, {NULL, NULL}};

static int on_object(const char *text, size_t len, void *arg, struct error *err) {
    struct buf *heard = arg;
    assert_int_equal(strlen(text), len);
    buf_printf(heard, "%s|", text);
    return strstr(text, "stop") ? error_set(err, -ECANCELED, "stopped") : 0;
}

/* Fed in two pieces cut at `cut`, or byte by byte. */
static int feed(enum sieve_mode mode, const struct keep *keep, const char *text, size_t cut, struct buf *heard, struct error *err) {
    struct sieve *s = NULL;
    const struct sieve_spec spec = {.mode = mode, .keep = keep, .list_keep = around, .max_kept = 200, .object = on_object, .arg = heard};
    size_t len = strlen(text);
    assert_int_equal(sieve_new(&spec, &s, err), 0);
    int rc = 0;
    if (cut == SIZE_MAX)
        for (size_t i = 0; i < len && rc == 0; i++)
            rc = sieve_feed(s, &(char){text[i]}, 1, err);
    else if ((rc = sieve_feed(s, text, cut, err)) == 0)
        rc = sieve_feed(s, text + cut, len - cut, err);
    if (rc == 0)
        rc = sieve_end(s, err);
    if (mode == SIEVE_LIST && rc == 0)
        buf_printf(heard, "%s", sieve_rest(s));
    sieve_free(s);
    return rc;
}

static const struct {
    enum sieve_mode mode;
    const char *text, *heard;
} good[] = {
    {SIEVE_STREAM, "", ""},
    {SIEVE_STREAM, " \n\n", ""},
    {SIEVE_STREAM, "{}", "{}|"},
    {SIEVE_STREAM, "{\"kind\":\"Pod\",\"x\":1}\n{\"x\":[{\"}\":\"]\"}],\"kind\":2}\n", "{\"kind\":\"Pod\"}|{\"kind\":2}|"},
    {SIEVE_STREAM,
     "{\"metadata\":{\"labels\":{\"a\":\"b\"},\"managedFields\":[{},[],\"{\"],\"name\":\"w\"},\"spec\":{\"deep\":[[[[{}]]]]}}",
     "{\"metadata\":{\"labels\":{\"a\":\"b\"},\"name\":\"w\"}}|"},
    {SIEVE_STREAM, "{\"kind\" : null , \"metadata\":null,\"status\":\"Failure\"}",
     "{\"kind\":null,\"metadata\":null,\"status\":\"Failure\"}|"},
    {SIEVE_STREAM, "{\"status\":{\"c\":[{\"id\":\"1\",\"x\":{}},{\"x\":2},{\"id\":true}],\"phase\":-1.5e3}}",
     "{\"status\":{\"c\":[{\"id\":\"1\"},{},{\"id\":true}],\"phase\":-1.5e3}}|"},
    {SIEVE_STREAM, "{\"metadata\":{\"labels\":{ \"\\\\\\\"}\" : \"\\\\\" }},\"s\":\"\\\\\\\"{\"}",
     "{\"metadata\":{\"labels\":{ \"\\\\\\\"}\" : \"\\\\\" }}}|"},
    {SIEVE_STREAM, "{\"kind\":\"gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x9a\x80\"}",
     "{\"kind\":\"gr\xc3\xbc\xc3\x9f \xe6\x97\xa5 \xf0\x9f\x9a\x80\"}|"},
    {SIEVE_LIST,
     "{\"kind\":\"L\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{\"kind\":\"a\",\"x\":[]}, {\"x\":1} ,{\"kind\":\"b\"}]}\n",
     "{\"kind\":\"a\"}|{}|{\"kind\":\"b\"}|{\"kind\":\"L\",\"metadata\":{\"resourceVersion\":\"7\"}}"},
    {SIEVE_LIST, "{\"items\":[],\"metadata\":{}}", "{\"metadata\":{}}"},
    {SIEVE_LIST, "{\"items\":null,\"kind\":\"L\"}", "{\"kind\":\"L\"}"},
    {SIEVE_LIST, "{\"x\":{\"items\":[{\"kind\":1}]},\"items\":[{\"metadata\":{\"labels\":{\"items\":\"1\"}}}]}",
     "{\"metadata\":{\"labels\":{\"items\":\"1\"}}}|{}"},
};

static void pieces_may_be_cut_anywhere(void **unused) {
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        for (size_t cut = 0; cut <= strlen(good[i].text) + 1; cut++) {
            cleanup_buf struct buf heard = {0};
            struct error err = {{0}};
            buf_str(&heard, "");
            int rc = feed(good[i].mode, object, good[i].text, cut > strlen(good[i].text) ? SIZE_MAX : cut, &heard, &err);
            if (rc != 0 || strcmp(heard.data, good[i].heard) != 0)
                fail_msg("row %zu cut at %zu: %d %s\n%s\nwanted\n%s", i, cut, rc, err.text, heard.data, good[i].heard);
        }
}

static void what_is_no_json_is_told_with_its_place(void **unused) {
    (void)unused;
    static const struct {
        enum sieve_mode mode;
        const char *text;
        int rc;
        const char *say;
    } rows[] = {
        {SIEVE_STREAM, "<html>", -EPROTO, "at byte 0 is '<' where an object was expected"},
        {SIEVE_STREAM, "{}[", -EPROTO, "at byte 2 is '[' where an object was expected"},
        {SIEVE_STREAM, "{\"a\"}", -EPROTO, "at byte 4 is '}' where ':' was expected"},
        {SIEVE_STREAM, "{\"a\":}", -EPROTO, "at byte 5 is '}' where a value was expected"},
        {SIEVE_STREAM, "{a", -EPROTO, "where a key was expected"},
        {SIEVE_STREAM, "{\"x\":{]", -EPROTO, "at byte 6 is ']' where '}' was expected"},
        {SIEVE_STREAM, "{\"status\":{\"phase\":1]", -EPROTO, "where ',' or '}' was expected"},
        {SIEVE_STREAM, "{\"kind\":\"a\"\x01", -EPROTO, "is 0x01 where"},
        {SIEVE_STREAM, "{\"kind\":\"a", -EPIPE, "cut off after 10 bytes"},
        {SIEVE_STREAM, "{\"x\":[[", -EPIPE, "cut off"},
        {SIEVE_STREAM,
         "{\"kind\":"
         "\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
         "789"
         "0123456789012345678901234567890123456789012345678901234567890123456789\"}",
         -EFBIG, "more than 200 bytes"},
        {SIEVE_STREAM, "{\"kind\":\"stop\"}{\"kind\":\"after\"}", -ECANCELED, "stopped"},
        {SIEVE_LIST, "", -EPIPE, "cut off after 0 bytes"},
        {SIEVE_LIST, "{\"items\":[{}", -EPIPE, "cut off"},
        {SIEVE_LIST, "{}{}", -EPROTO, "where the end was expected"},
        {SIEVE_LIST, "{\"items\":[{}{}]}", -EPROTO, "where ',' or ']' was expected"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        for (size_t cut = 0; cut <= strlen(rows[i].text) + 1; cut++) {
            cleanup_buf struct buf heard = {0};
            struct error err = {{0}};
            int rc = feed(rows[i].mode, object, rows[i].text, cut > strlen(rows[i].text) ? SIZE_MAX : cut, &heard, &err);
            if (rc != rows[i].rc || !strstr(err.text, rows[i].say))
                fail_msg("row %zu cut at %zu: %d \"%s\", wanted \"%s\"", i, cut, rc, err.text, rows[i].say);
            if (heard.len)
                assert_null(strstr(heard.data, "after"));
        }
}

static void what_is_left_out_may_be_large_and_deep(void **unused) {
    (void)unused;
    cleanup_buf struct buf text = {0}, heard = {0};
    struct error err = {{0}};
    buf_str(&text, "{\"spec\":\"");
    for (int i = 0; i < 5 << 20; i += 64)
        buf_str(&text, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abc\\\"\xc3");
    buf_str(&text, "\",\"kind\":\"big\",\"deep\":");
    for (int i = 0; i < 10000; i++)
        buf_str(&text, i % 2 ? "[" : "{\"a\":");
    buf_str(&text, "0");
    for (int i = 9999; i >= 0; i--)
        buf_str(&text, i % 2 ? "]" : "}");
    buf_str(&text, "}");
    assert_true(buf_ok(&text));
    assert_int_equal(feed(SIEVE_STREAM, object, text.data, text.len / 2, &heard, &err), 0);
    assert_string_equal(heard.data, "{\"kind\":\"big\"}|");
    buf_clear(&text);
    for (int i = 0; i < 17000; i++)
        buf_str(&text, "{\"a\":");
    assert_int_equal(feed(SIEVE_STREAM, object, text.data, 1, &heard, &err), -EPROTO);
    assert_non_null(strstr(err.text, "nested deeper"));
}

static void without_a_table_all_is_kept(void **unused) {
    (void)unused;
    cleanup_buf struct buf heard = {0};
    struct error err = {{0}};
    assert_int_equal(feed(SIEVE_STREAM, NULL, "{\"a\":[1,{\"b\":\"}\"}]} {}", SIZE_MAX, &heard, &err), 0);
    assert_string_equal(heard.data, "{\"a\":[1,{\"b\":\"}\"}]}|{}|");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_may_be_cut_anywhere),
        cmocka_unit_test(what_is_no_json_is_told_with_its_place),
        cmocka_unit_test(what_is_left_out_may_be_large_and_deep),
        cmocka_unit_test(without_a_table_all_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

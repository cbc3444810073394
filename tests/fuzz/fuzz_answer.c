/* SPDX-License-Identifier: Apache-2.0 */
/* What a server may answer: a body, looked into by a step. The first line is a dotted path, the second a text to look for, the rest the body. */
#include "fuzz.h"
#include "scenario/step.h"

struct kept { /* as a load keeps a captured value: a copy, since the answer goes */
    char *text;
    const char *wanted; /* any text, as a value that a template brings */
};

static void on_capture(const char *name, const char *value, void *arg) {
    struct kept *k = arg;
    if (strcmp(name, "x") != 0 || !value)
        abort();
    free(k->text);
    k->text = strdup(value);
}

static const char *get(void *arg, const char *name) {
    const struct kept *k = arg;
    return strcmp(name, "capture.x") == 0 ? k->text : strcmp(name, "ledger.value") == 0 ? k->wanted : NULL;
}

static char *line(const uint8_t **data, size_t *size) {
    const uint8_t *end = *size ? memchr(*data, '\n', *size) : NULL;
    size_t len = end ? (size_t)(end - *data) : *size;
    char *s = strndup((const char *)*data, len);
    if (!s)
        abort();
    *data += end ? len + 1 : len;
    *size -= end ? len + 1 : len;
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int statuses[] = {0, 99, 200, 503, 999};
    struct arena *a = arena_new();
    const struct template *own = NULL, *wanted = NULL;
    struct error err;
    cleanup_free char *path = line(&data, &size), *text = line(&data, &size);
    if (!a || template_compile(a, "${capture.x}", 0, &own, &err) < 0 || template_compile(a, "${ledger.value}", 0, &wanted, &err) < 0)
        abort();
    /* As libcurl's bridge hands it over: with a NUL behind, which is not of the body. */
    cleanup_free char *body = malloc(size + 1);
    if (!body)
        abort();
    memcpy(body, data, size);
    body[size] = 0;
    const struct pair capture = {"x", path};
    const struct template_pair same = {path, own};
    const char *const gone[] = {path};
    struct step_expect expect = {.contains = wanted, .json = {&same, 1}};
    const struct step steps[] = {
        {.method = "GET", .expect = &expect, .capture = {&capture, 1}},
        {.method = "GET", .expect = &(struct step_expect){.contains = wanted}},
        {.method = "GET", .expect = &(struct step_expect){.missing = {gone, 1}}},
        {.method = "GET", .expect = &(struct step_expect){.status = 503, .json = {&same, 1}}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        for (size_t k = 0; k < ARRAY_SIZE(statuses); k++) {
            struct kept kept = {NULL, text};
            struct template_vars vars = {get, &kept};
            char tmp[256] = "";
            const char *why = step_judge(&steps[i], &vars, statuses[k], body, size, on_capture, &kept, tmp, sizeof tmp);
            if (why && (!*why || strlen(why) >= sizeof tmp))
                abort();
            if (!why && i == 0 && (!kept.text || statuses[k] != 200)) /* right, but nothing was captured, or the status was wrong */
                abort();
            free(kept.text);
        }
    arena_free(a);
    return 0;
}

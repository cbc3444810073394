/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer says of an entry: it is there, it is not, something else is there, or nothing that can be trusted. */
#include "base/cleanup.h"
#include "base/json.h"
#include "load/http_priv.h"

#include <string.h>

static const struct step_expect not_found = {.status = 404};

/* Another value stands where the entry's was expected: every place is there, so the answer is one to this question. An error page is not. */
static bool is_other(const struct step_expect *e, const struct http_result *res) {
    bool status = e && e->status ? res->status == e->status : res->status / 100 == 2;
    if (!status || !e)
        return false;
    if (!e->json.count)
        return true; /* the text is all there is, and it is another one */
    cleanup_json json_t *root = res->body ? json_loadb(res->body, res->body_len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    char number[64];
    for (size_t i = 0; i < e->json.count; i++) {
        const json_t *value = json_at(root, e->json.items[i].key);
        if (!value || !json_text(value, number, sizeof number))
            return false;
    }
    return true;
}

enum ledger_answer http_ledger_judge(const struct http_ledger *g, const struct template_vars *vars, const struct http_result *res,
                                     void (*on_capture)(const char *name, const char *value, void *arg), void *arg, char *why, size_t size) {
    const struct step *last = &((const struct step *)g->read.items)[g->read.count - 1];
    const struct step absent = {.expect = (struct step_expect *)(g->absent ? g->absent : &not_found)};
    char other[256];
    *why = 0;
    if (!step_judge(last, vars, res->status, res->body, res->body_len, on_capture, arg, why, size))
        return LEDGER_PRESENT;
    if (!step_judge(&absent, vars, res->status, res->body, res->body_len, NULL, NULL, other, sizeof other))
        return LEDGER_ABSENT;
    return is_other(last->expect, res) ? LEDGER_OTHER : LEDGER_UNKNOWN;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "load/driver_priv.h"

#include <errno.h>
#include <string.h>

struct name_check {
    const struct schema_at *at;
    const char *field;
    bool file;
    struct error *err;
};

static int check_name(const char *name, void *arg) {
    const struct name_check *c = arg;
    if (strncmp(name, "run.", 4) == 0 || (strncmp(name, "secret.", 7) == 0 && !c->file))
        return 0;
    if (strncmp(name, "secret.", 7) == 0)
        return schema_bad(c->at, c->field, c->err, "${%s}: a file stays in the run's folder; give the secret in env", name);
    return schema_bad(c->at, c->field, c->err, "${%s}: the program is started once and not for a request or pod; it is told "
                     "keys and values line by line", name);
}

static int check_pairs(struct name_check *c, const struct template_pairs *pairs) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < pairs->count; i++)
        rc = template_names(pairs->items[i].value, check_name, c);
    return rc;
}

static int check_files(const struct driver_load *p, const struct schema_at *at, struct error *err) {
    for (size_t i = 0; i < p->files.count; i++) {
        const char *name = p->files.items[i].key;
        if (*name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            continue;
        return schema_bad(at, "files", err, "\"%s\": expected the name of a file, without a folder", name);
    }
    return 0;
}

static int check_load(void *value, const struct schema_at *at, struct error *err) {
    const struct driver_load *p = value;
    struct name_check c = {.at = at, .field = "command", .err = err};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->command.count; i++)
        rc = template_names(p->command.items[i], check_name, &c);
    c.field = "env";
    if (rc == 0)
        rc = check_pairs(&c, &p->env);
    c.field = "files";
    c.file = true;
    if (rc == 0)
        rc = check_pairs(&c, &p->files);
    if (rc == 0 && p->workers > p->concurrency)
        rc = doc_error(at->doc, at->path, 0, err, -EINVAL, "%lld workers are more than the %lld requests that may be under way (concurrency)",
                       (long long)p->workers, (long long)p->concurrency);
    return rc ? rc : check_files(p, at, err);
}

static const struct field ledger_fields[] = {LEDGER_FIELDS(struct driver_ledger, limits), {0}};
static const struct shape ledger_shape = {
    .name = "driver-ledger", .size = sizeof(struct driver_ledger), .fields = ledger_fields,
    .doc = "What was acknowledged is read back after each recovery and at the end; {} takes the defaults.",
};

#define L(member) offsetof(struct driver_load, member)
static const struct field load_fields[] = {
    {.name = "command", .type = F_TEMPLATES, .offset = L(command), .required = true, .min = 1, .max = 256,
     .doc = "Program and arguments, run beside the pods on their network, where the pods' names mean the pods. Each line on its stdin is a JSON object. First comes "
            "{\"op\":\"start\",\"load\":\"writes\",\"worker\":0,\"deadline_ms\":500}, which takes no answer; then "
            "{\"id\":17,\"op\":\"write\",\"key\":\"...\",\"value\":\"...\"}, answered on stdout in one line by {\"id\":17,\"ok\":true} once the service "
            "acknowledged it, or {\"id\":17,\"ok\":false,\"error\":\"...\"}; and {\"id\":18,\"op\":\"read\",\"key\":\"...\"}, answered by "
            "{\"id\":18,\"ok\":true,\"value\":\"...\"}, with null for what is not there. Answers may come in any order; flush each. At the end "
            "of its stdin it ends; 2s later it gets SIGTERM, 1s later SIGKILL. Its stderr is logs/driver.NAME.log."},
    {.name = "env", .type = F_TEMPLATE_MAP, .offset = L(env), .doc = "Environment, beside that of chaosd itself."},
    {.name = "files", .type = F_TEMPLATE_MAP, .offset = L(files),
     .doc = "Files written into the folder in which the program starts (driver/NAME of the run's): name to contents."},
    OPEN_LOOP_RATE_ROWS(struct driver_load),
    {.name = "workers", .type = F_INT, .offset = L(workers), .def = "1", .min = 1, .max = 200,
     .doc = "Processes of the program; a request goes to the one that owes the fewest answers, among equals in turn."},
    {.name = "deadline", .type = F_DURATION, .offset = L(deadline_ns), .def = "1s", .min = NS_PER_MS, .max = 3600 * NS_PER_S,
     .doc = "From the planned time to the answer's line; slower is bad."},
    {.name = "concurrency", .type = F_INT, .offset = L(concurrency), .def = "100", .min = 1, .max = 20000,
     .doc = "Lines that the workers together may owe an answer for, also too late ones; a request planned beyond it is recorded as unsent, "
            "which counts as bad."},
    {.name = "late", .type = F_DURATION, .offset = L(late_ns), .def = "100ms", .min = NS_PER_MS, .max = 3600 * NS_PER_S,
     .doc = "A request that chaosd itself is later with than this is recorded as unsent instead of sent in a burst."},
    {.name = "ledger", .type = F_OBJECT, .offset = L(ledger), .shape = &ledger_shape, .doc = "Look for lost writes."},
    {0},
};
#undef L

const struct shape driver_load_shape = {
    .name = "driver", .size = sizeof(struct driver_load), .fields = load_fields, .check = check_load,
    .doc = "Requests at planned times, each a line to a program of yours, and its answer a line: for what does not speak HTTP.",
};

json_t *driver_describe(const struct load_spec *spec) {
    const struct driver_load *p = spec->kind.params;
    return json_pack("{s:s, s:I, s:[s], s:I, s:b}", "kind", "driver", "rate_micro", (json_int_t)p->rate, "lanes", lane_names[LANE_EXEC],
                     "deadline_ns", (json_int_t)p->deadline_ns, "ledger", p->ledger != NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "load/exec_priv.h"

#include <errno.h>
#include <string.h>

extern char **environ;

#define E(member) offsetof(struct exec_load, member)
static const struct field fields[] = {
    {.name = "command", .type = F_TEMPLATES, .offset = E(command), .required = true, .min = 1, .max = 1000,
     .doc = "Program and arguments, run beside the pods on their network, in its own folder ${load.dir}. No shell. It begins at the load's start."},
    {.name = "env", .type = F_TEMPLATE_MAP, .offset = E(env), .doc = "Environment, beside that of chaosd."},
    {.name = "files", .type = F_TEMPLATE_MAP, .offset = E(files), .doc = "Files written into its folder before it starts: relative path to contents."},
    {.name = "needs", .type = F_STRINGS, .offset = E(needs), .max = 32,
     .doc = "Programs that it calls itself, as a script does: looked for before the run, as its own program is."},
    {.name = "samples", .type = F_ENUM, .offset = E(samples), .def = "none", .values = external_format_names,
     .doc = "What it says of its requests: nothing, one JSON object a line, h2load's --log-file, k6's --out json, or Rally's task report --json."},
    {.name = "from", .type = F_TEMPLATE, .offset = E(from),
     .doc = "File that the samples are read from when it has ended, as report.json in its folder; its standard output when not given."},
    {.name = "ready", .type = F_STRING, .offset = E(ready),
     .doc = "Text of a line that it prints when its load runs. It is then started before the schedule, which waits for the line as it waits for the pods."},
    {.name = "deadline", .type = F_DURATION, .offset = E(deadline_ns), .min = NS_PER_US, .max = 3600 * NS_PER_S,
     .doc = "A request of its that took longer is bad, whatever it says itself; not given: its own word."},
    {.name = "finish", .type = F_DURATION, .offset = E(finish_ns), .def = "0s", .max = 600 * NS_PER_S,
     .doc = "How long it may go on after the load's time, for one that ends by itself and writes its report then; after that it gets a SIGTERM."},
    {.name = "stopTimeout", .type = F_DURATION, .offset = E(stop_timeout_ns), .def = "5s", .max = 600 * NS_PER_S,
     .doc = "From SIGTERM to SIGKILL."},
    {.name = "passStatus", .type = F_INT, .offset = E(pass_status), .def = "0", .min = 0, .max = 255,
     .doc = "Its exit status when all went well; any other, when it was not asked to end, makes the run inconclusive."},
    {.name = "failStatus", .type = F_INT, .offset = E(fail_status), .min = 0, .max = 255,
     .doc = "Its exit status that says the service failed it, as 99 of k6 and 2 of rally task start; the run then fails."},
    {0},
};

struct name_check { const struct schema_at *at; const char *field; struct error *err; };

/* A program has no pod, and makes its requests by itself. */
static int check_name(const char *name, void *arg) {
    const struct name_check *c = arg;
    static const char *const known[] = {"load.", "run.", "secret."};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (!strncmp(name, known[i], strlen(known[i])))
            return 0;
    return schema_bad(c->at, c->field, c->err, "${%s}: a program of its own knows load, run and secret (pods have names on its network)", name);
}

static int check_pairs(const struct template_pairs *list, const char *field, const struct schema_at *at, struct error *err) {
    struct name_check c = {at, field, err};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < list->count; i++)
        rc = template_names(list->items[i].value, check_name, &c);
    return rc;
}

/* Below its folder, and nowhere else. */
static bool inside(const char *path) {
    for (const char *part = path; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
        if (!*part || *part == '/' || !strncmp(part, "../", 3) || !strcmp(part, ".."))
            return false;
    return *path != 0;
}

static int check_load(void *value, const struct schema_at *at, struct error *err) {
    const struct exec_load *p = value;
    struct name_check c = {at, "command", err};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->command.count; i++)
        rc = template_names(p->command.items[i], check_name, &c);
    if (rc == 0)
        rc = check_pairs(&p->env, "env", at, err);
    if (rc == 0)
        rc = check_pairs(&p->files, "files", at, err);
    c.field = "from";
    if (rc == 0 && p->from)
        rc = template_names(p->from, check_name, &c);
    for (size_t i = 0; rc == 0 && i < p->files.count; i++)
        if (!inside(p->files.items[i].key))
            return schema_bad(at, "files", err, "\"%s\": a path below the program's folder is wanted", p->files.items[i].key);
    if (rc < 0)
        return rc;
    if (p->from && p->samples == EXTERNAL_NONE)
        return schema_bad(at, "from", err, "from goes with samples, the format of what is in there");
    if (p->samples == EXTERNAL_RALLY && !p->from)
        return schema_bad(at, "samples", err, "Rally's report is a file: say in from where `rally task report --json --out FILE` writes it");
    if (p->ready && !*p->ready)
        return schema_bad(at, "ready", err, "ready is empty: say what stands in the line that it prints when its load runs");
    if (p->deadline_ns && p->samples == EXTERNAL_NONE)
        return schema_bad(at, "deadline", err, "deadline goes with samples, whose lengths it is compared with");
    if (p->fail_status && p->fail_status == p->pass_status)
        return schema_bad(at, "failStatus", err, "%lld is passStatus too: a status cannot say both that all went well and that the service failed", (long long)p->pass_status);
    return 0;
}

const struct shape exec_load_shape = {
    .name = "exec", .size = sizeof(struct exec_load), .fields = fields, .check = check_load,
    .doc = "Any program beside the faults, as another load generator: its exit status, its output in logs/, and its samples where it has them.",
};

json_t *exec_load_describe(const struct load_spec *spec) {
    const struct exec_load *p = spec->kind.params;
    json_t *o = json_pack("{s:s, s:[s], s:s, s:b, s:I, s:I}", "kind", "exec", "lanes", lane_names[LANE_EXEC], "samples",
                          external_format_names[p->samples], "closed", 1, "pass_status", (json_int_t)p->pass_status, "fail_status",
                          (json_int_t)p->fail_status);
    if (o && p->deadline_ns)
        json_object_set_new(o, "deadline_ns", json_integer(p->deadline_ns));
    return o;
}

int exec_load_preflight(const struct load_spec *spec, struct error *err) {
    const struct exec_load *p = spec->kind.params;
    const struct template *program = p->command.items[0];
    int rc = 0;
    bool own_path = false;
    for (size_t i = 0; i < p->env.count; i++)
        own_path = own_path || strcmp(p->env.items[i].key, "PATH") == 0;
    for (size_t i = 0; rc == 0 && !own_path && i <= p->needs.count; i++) {
        const char *name = i < p->needs.count ? p->needs.items[i] : template_is_literal(program) ? template_text(program) : NULL;
        cleanup_free char *found = NULL;
        rc = name ? child_find(name, environ, &found, err) : 0;
        if (rc == 0 && found && strchr(found, '/') && access(found, X_OK) < 0)
            rc = error_errno(err, "%s", found);
    }
    return rc < 0 ? error_wrap(err, rc, "load %s", spec->name) : 0;
}

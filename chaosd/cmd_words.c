/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd __words: the texts that `make words` stores in the tree. */
#include "base/cleanup.h"
#include "base/units.h"
#include "cluster/cluster.h"
#include "cmd.h"
#include "fault/fault.h"
#include "load/load.h"
#include "probe/probe.h"
#include "scenario/scenario.h"
#include "words/words.h"
#include "words_commands.h"

#include <stdio.h>
#include <string.h>


static const struct kind_set kinds = {.groups = {
    [KIND_FAULT] = (const struct kind_row *const *)fault_kinds,
    [KIND_LOAD] = (const struct kind_row *const *)load_kinds,
    [KIND_PROBE] = (const struct kind_row *const *)probe_kinds,
    [KIND_CLUSTER] = (const struct kind_row *const *)cluster_kinds,
}};

static int schema(struct buf *out, struct error *err) { return words_schema(&scenario_shape, &kinds, out, err); }
static int scenarios(struct buf *out, struct error *err) { return words_scenarios(&scenario_shape, &kinds, out, err); }
static int man(struct buf *out, struct error *err) { return words_man(commands, out, err); }
static int bash(struct buf *out, struct error *err) { return words_bash(commands, out, err); }

static const struct {
    const char *name;
    int (*write)(struct buf *out, struct error *err);
} texts[] = {{"schema", schema}, {"scenarios", scenarios}, {"man", man}, {"bash", bash}};

static int main_words(int argc, char **argv) {
    struct error err;
    int first, code = options_parse(&command_words, argc, argv, NULL, &first);
    if (code)
        return code - 1;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        cleanup_buf struct buf out = {0};
        if (strcmp(argv[first], texts[i].name) != 0)
            continue;
        if (texts[i].write(&out, &err) < 0)
            return fail(EXIT_INTERNAL, &err);
        return fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0 ? EXIT_PASS : EXIT_INTERNAL;
    }
    error_set(&err, 0, "__words %.40s: there are schema, scenarios, man and bash", argv[first]);
    return fail(EXIT_USAGE, &err);
}

const struct command command_words = {
    .name = "__words", .args = "TEXT", .min_args = 1, .max_args = 1, .hidden = true, .run = main_words,
    .doc = "Prints a generated text: schema, scenarios, man or bash.",
};

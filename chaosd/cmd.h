/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Commands and their options as rows: getopt_long's tables, --help, and later the man page and shell completion come from these. */
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum exit_code { EXIT_PASS, EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_SKIPPED, EXIT_ABORTED, EXIT_USAGE = 64, EXIT_INTERNAL = 70 };

enum option_type { OPT_FLAG /* bool */, OPT_STRING /* const char * */, OPT_STRINGS /* struct option_strings, repeatable */, OPT_INT /* int64_t */ };

struct option_strings {
    const char *items[64];
    size_t count;
};

struct option_row {
    const char *name;
    char letter; /* 0: none */
    enum option_type type;
    size_t offset; /* into the command's own options struct */
    const char *arg; /* for the help: "FILE" */
    const char *doc;
};

struct command {
    const char *name, *args, *doc, *more; /* args: "SCENARIO"; more: paragraphs under the options, or NULL */
    const struct option_row *options;     /* ends with a row without name; NULL: only --help */
    int min_args, max_args;
    bool hidden;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns an exit code */
};

extern const struct command *const commands[]; /* NULL-terminated */
extern const struct command command_run, command_plan, command_check, command_report, command_runs, command_inject, command_agent, command_revert, command_version, command_reap, command_words;

/* Parses argv by the rows into options (zeroed by the caller). On success argv is permuted so that operands start at *ret_first.
 * Returns 0 to go on, else an exit code plus one (help was printed, or usage is bad). */
int options_parse(const struct command *c, int argc, char **argv, void *options, int *ret_first);
/* "chaosd: text" on stderr; returns code. */
int fail(int code, const struct error *err);

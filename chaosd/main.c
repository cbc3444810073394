/* SPDX-License-Identifier: Apache-2.0 */
/* The command table, and nothing else. */
#include "cmd.h"
#include "progress.h"
#include "base/cleanup.h"
#include "base/units.h"

#include <stdio.h>
#include <string.h>

const struct command *const commands[] = {
    &command_run, &command_plan, &command_check, &command_report, &command_runs, &command_inject, &command_agent, &command_revert, &command_version, &command_reap, &command_words, NULL,
};

static void usage(FILE *f) {
    fprintf(f, "chaosd kills pods and injects faults while a load runs, and says what its users noticed.\n\nusage: chaosd COMMAND [OPTIONS] ...\n\n");
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->hidden)
            fprintf(f, "  %-9s %-12s %s\n", commands[i]->name, commands[i]->args, commands[i]->doc);
    fprintf(f, "\nchaosd COMMAND --help tells more.\n"
               "exit codes: 0 pass, 1 fail, 2 inconclusive, 3 skipped, 4 aborted, 64 bad usage or scenario, 70 internal error\n");
}

static int unknown(const char *word) {
    const char *names[ARRAY_SIZE(commands)];
    size_t n = 0;
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->hidden)
            names[n++] = commands[i]->name;
    names[n] = NULL;
    const char *near = did_you_mean(word, names);
    fputs("chaosd: unknown command \"", stderr);
    progress_print_safe(stderr, word);
    fputc('"', stderr);
    if (near)
        fprintf(stderr, ", did you mean \"%s\"?\n", near);
    else
        fprintf(stderr, "; chaosd --help lists them\n");
    return EXIT_USAGE;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        usage(stdout);
        return EXIT_PASS;
    }
    if (strcmp(word, "--version") == 0)
        word = "version";
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, word) == 0)
            return commands[i]->run(argc - 1, argv + 1);
    return unknown(word);
}

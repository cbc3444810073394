/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/redact.h"
#include "base/units.h"
#include "cmd.h"
#include "progress.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { MAX_OPTIONS = 32, HELP = 1000, FIRST_LONG = 1001 };

static void print_help(const struct command *c) {
    printf("usage: chaosd %s %s%s\n\n%s\n\n", c->name, c->options ? "[OPTIONS] " : "", c->args, c->doc);
    for (const struct option_row *o = c->options; o && o->name; o++) {
        char left[64], letter[4] = "";
        if (o->letter)
            snprintf(letter, sizeof letter, "-%c,", o->letter);
        snprintf(left, sizeof left, "%3s --%s%s%s", letter, o->name, o->arg ? "=" : "", o->arg ? o->arg : "");
        printf("  %-30s %s\n", left, o->doc);
    }
    printf("  %-30s %s\n", "-h, --help", "Shows this.");
    if (c->more)
        printf("\n%s\n", c->more);
}

static int set(const struct option_row *o, const char *value, void *options, struct error *err) {
    char *at = (char *)options + o->offset;
    switch (o->type) {
    case OPT_FLAG:
        *(bool *)at = true;
        return 0;
    case OPT_STRING:
        *(const char **)at = value;
        return 0;
    case OPT_STRINGS: {
        struct option_strings *list = (struct option_strings *)at;
        if (list->count == ARRAY_SIZE(list->items))
            return error_set(err, -1, "--%s: given more than %zu times", o->name, list->count);
        list->items[list->count++] = value;
        return 0;
    }
    case OPT_INT: {
        int rc = parse_int(value, (int64_t *)at, err);
        return rc < 0 ? error_wrap(err, rc, "--%s", o->name) : 0;
    }
    }
    return 0;
}

static int bad_usage(const struct command *c, const char *text) {
    fprintf(stderr, "chaosd %s: ", c->name);
    progress_print_safe(stderr, text);
    fprintf(stderr, "\nusage: chaosd %s %s%s (chaosd %s --help tells more)\n", c->name, c->options ? "[OPTIONS] " : "", c->args, c->name);
    return EXIT_USAGE + 1;
}

static int unknown_option(const struct command *c, const char *word) {
    const char *names[MAX_OPTIONS + 2], *near;
    size_t n = 0;
    for (const struct option_row *o = c->options; o && o->name; o++)
        names[n++] = o->name;
    names[n++] = "help";
    names[n] = NULL;
    char bare[64], text[200];
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word, "="), word);
    near = strncmp(bare, "--", 2) == 0 ? did_you_mean(bare + 2, names) : NULL;
    snprintf(text, sizeof text, near ? "unknown option %s, did you mean --%s?" : "unknown option %s", bare, near);
    return bad_usage(c, text);
}

static size_t build(const struct command *c, struct option *longs, char *shorts) {
    size_t n = 0, s = 0;
    shorts[s++] = ':';
    for (const struct option_row *o = c->options; o && o->name && n < MAX_OPTIONS; o++, n++) {
        longs[n] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, FIRST_LONG + (int)n};
        if (o->letter) {
            shorts[s++] = o->letter;
            if (o->arg)
                shorts[s++] = ':';
        }
    }
    shorts[s++] = 'h';
    shorts[s] = 0;
    longs[n] = (struct option){"help", no_argument, NULL, HELP};
    longs[n + 1] = (struct option){0};
    return n;
}

int options_parse(const struct command *c, int argc, char **argv, void *options, int *ret_first) {
    struct option longs[MAX_OPTIONS + 2];
    char shorts[2 * MAX_OPTIONS + 4];
    size_t n = build(c, longs, shorts);
    optind = 1;
    opterr = 0;
    for (int got; (got = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (got == 'h' || got == HELP) {
            print_help(c);
            return EXIT_PASS + 1;
        }
        const struct option_row *row = NULL;
        for (size_t i = 0; i < n; i++)
            if (got == FIRST_LONG + (int)i || (got > 0 && got == c->options[i].letter))
                row = &c->options[i];
        char text[128];
        if (got == ':') {
            snprintf(text, sizeof text, "%s wants a value", argv[optind - 1]);
            return bad_usage(c, text);
        }
        if (!row)
            return unknown_option(c, argv[optind - 1]);
        struct error err;
        if (set(row, optarg, options, &err) < 0)
            return bad_usage(c, err.text);
    }
    int operands = argc - optind;
    if (operands < c->min_args || (c->max_args >= 0 && operands > c->max_args))
        return bad_usage(c, operands < c->min_args ? "an operand is missing" : "too many operands");
    *ret_first = optind;
    return 0;
}

int fail(int code, const struct error *err) {
    char text[sizeof err->text];
    memcpy(text, err->text, sizeof text);
    fputs("chaosd: ", stderr);
    progress_print_safe(stderr, redact(text));
    fputc('\n', stderr);
    return code;
}

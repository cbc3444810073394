/* SPDX-License-Identifier: Apache-2.0 */
/* chaosd check: is the scenario right, and can it run here. */
#include "base/cleanup.h"
#include "drill.h"

#include <errno.h>

static const struct option_row rows[] = {DRILL_OPTIONS(0), {0}};

static int main_check(int argc, char **argv) {
    struct drill_options o = {0};
    struct error err;
    struct drill d = {0};
    int first, code = options_parse(&command_check, argc, argv, &o, &first);
    if (code)
        return code - 1;
    int rc = drill_open(argv[first], &o, &d, &err);
    if (rc < 0)
        return fail(rc == -ENOMEM ? EXIT_INTERNAL : EXIT_USAGE, &err);
    rc = drill_preflight(&d, true, &err);
    drill_close(&d);
    return rc < 0 ? EXIT_FAIL : EXIT_PASS;
}

const struct command command_check = {
    .name = "check", .args = "SCENARIO", .min_args = 1, .max_args = 1, .options = rows, .run = main_check,
    .doc = "Validates a scenario and says whether it can run here.",
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/reaper.h"
#include "cmd.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>

static int main_version(int argc, char **argv) {
    int first, code = options_parse(&command_version, argc, argv, NULL, &first);
    if (code)
        return code - 1;
    printf("chaosd %s (libcurl %s, jansson %s)\n", CHAOSD_VERSION, curl_version_info(CURLVERSION_NOW)->version, JANSSON_VERSION);
    return EXIT_PASS;
}

const struct command command_version = {
    .name = "version", .args = "", .min_args = 0, .max_args = 0, .run = main_version, .doc = "Prints the version and those of its libraries.",
};

/* Not for people: the program that stands by to undo a fault when chaosd is gone. */
const struct command command_reap = {.name = "__reap", .args = "", .hidden = true, .run = reaper_main, .doc = ""};

/* SPDX-License-Identifier: Apache-2.0 */
/* The assembler takes the files in as they are: no generator, and gcc and clang understand it alike. Paths count from the source
 * tree's root, where make runs; make knows what this object depends on. */
#include "report/html_assets.h"

#include <string.h>

#ifndef DYGRAPHS_DIR
#define DYGRAPHS_DIR "/usr/share/javascript/dygraphs"
#endif

#define EMBED(symbol, path) \
    __asm__(".pushsection .rodata\n" \
            ".balign 16\n" \
            "html_" #symbol "_begin:\n" \
            ".incbin \"" path "\"\n" \
            "html_" #symbol "_end:\n" \
            ".byte 0\n" \
            ".popsection\n"); \
    extern const char html_##symbol##_begin[], html_##symbol##_end[]

EMBED(page, "chaosd/report/html/page.html");
EMBED(style, "chaosd/report/html/page.css");
EMBED(base, "chaosd/report/html/base.js");
EMBED(view, "chaosd/report/html/view.js");
EMBED(lanes, "chaosd/report/html/lanes.js");
EMBED(charts, "chaosd/report/html/charts.js");
EMBED(cards, "chaosd/report/html/cards.js");
EMBED(waterfall, "chaosd/report/html/waterfall.js");
EMBED(tables, "chaosd/report/html/tables.js");
EMBED(main, "chaosd/report/html/main.js");
EMBED(licences, "chaosd/report/html/licences.txt");
EMBED(dygraphs, DYGRAPHS_DIR "/dygraph.min.js");

#define ROW(symbol) {#symbol, html_##symbol##_begin, html_##symbol##_end}
static const struct html_asset rows[] = {
    ROW(page), ROW(style), ROW(base), ROW(view), ROW(lanes), ROW(charts), ROW(cards), ROW(waterfall), ROW(tables), ROW(main), ROW(licences), ROW(dygraphs),
};

const struct html_asset *html_asset(const char *name) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

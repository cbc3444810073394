/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The parts of the page's data, a file each. Times in it are ms from the schedule's start. Everything is bounded, so that a run
 * of a week gives a page of the same size as one of a minute; what was left out is said. */
#include "base/arena.h"
#include "check/judge.h"
#include "report/html_json.h"

struct page {
    const struct judgement *j;
    struct jw w;
    struct arena *a;
    int64_t zero;     /* the schedule's start, on the run's clock */
    int64_t from, to; /* what the time axis shows; from < to */
    const char **pods; /* names, in the order of their first event */
    size_t pod_count;
    size_t *cards; /* indices of the acts that get a card, ascending */
    size_t card_count;
    bool failed; /* out of memory */
};

void page_time(struct page *p, int64_t t);  /* a moment; UNKNOWN_NS: null */
void page_series(struct page *p);           /* html_series.c: rates and latencies by bucket, the worst requests */
void page_lanes(struct page *p);            /* html_lanes.c: faults, roles, downtime, stalls */
/* The acts that have a part in a window, "kill #1 on db-0", but for one (-1: for none); empty where it is not shared. html_lanes.c */
void page_shared(struct page *p, const struct downtime *d, int but);
void page_probes(struct page *p);           /* html_probes.c: changes of their answers */
void page_pods(struct page *p);             /* html_pods.c: states and restarts */
void page_cards(struct page *p);            /* html_cards.c: one a fault */
void page_choose_cards(struct page *p);

struct log_line { const char *pod, *text; int64_t at; }; /* at: offset from the act */
struct evidence { struct log_line *lines; size_t count; };
/* html_logs.c: lines of the pods' logs around each card's act, by their own stamps; as many as there are cards. From the arena;
 * NULL: out of memory. */
struct evidence *page_evidence(struct page *p);
/* html_headline.c: verdict and headline figures as HTML, readable without scripts. */
void html_verdict(const struct judgement *j, struct buf *out);
void html_headline(const struct judgement *j, struct buf *out);

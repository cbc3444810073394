/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The classifier: loaded once, its slots and peers; and those of other processes, reached through a filter's program id. */
#include "classify.h"
#include "netem.h"

struct maps { /* what a fault's figures are read from and its deadline is written to */
    int slots_fd, counters_fd;
    struct classify_slot *slots; /* mapped */
    size_t mapped;
    unsigned count;
};

struct program;
int program_open(unsigned slots, struct program **ret, char *why);
void program_close(struct program *p);
int program_fd(const struct program *p, bool redirect);
struct maps *program_maps(struct program *p);
bool program_is(const struct program *p, uint32_t id);

/* A slot that is off, with room for so many peers. Its number, or -ENOSPC, -ENOMEM. */
int program_take(struct program *p, size_t peers, char *why);
/* Writes the next peers, at most NETEM_STEP. 1: there are more. */
int program_fill(struct program *p, unsigned slot, const struct netem_peer *peers, size_t count, char *why);
/* Off, and free as soon as its peers are forgotten. */
void program_release(struct program *p, unsigned slot);
int program_tidy(struct program *p);

void maps_switch(struct maps *m, unsigned slot, uint64_t until_ns);
int maps_counts(const struct maps *m, unsigned slot, bool ingress, struct netem_counts *ret);
int maps_put_counts(const struct maps *m, unsigned slot, bool ingress, const struct netem_counts *c);

/* Maps of other processes, kept while they are looked at. */
struct reached { struct { uint32_t program; bool ok; struct maps maps; } *list; size_t count; };
/* NULL: cannot be read (no CAP_SYS_ADMIN, another version's layout, gone). */
struct maps *reach(struct reached *r, struct program *own, uint32_t program_id);
void reached_free(struct reached *r);

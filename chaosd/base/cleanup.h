/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Scope-bound release and the take/steal idiom: what leaves the scope is taken, everything else is freed. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define cleanup(f) __attribute__((__cleanup__(f)))

static inline void freep(void *p) { free(*(void **)p); }
static inline void closep(int *fd) {
    if (*fd >= 0)
        close(*fd);
}
static inline void fclosep(FILE **f) {
    if (*f)
        fclose(*f);
}

#define cleanup_free cleanup(freep)
#define cleanup_close cleanup(closep)
#define cleanup_fclose cleanup(fclosep)
#define cleanup_json cleanup(json_decrefp)

static inline void *take_ptr_(void *pp) {
    void *p = *(void **)pp;
    *(void **)pp = NULL;
    return p;
}
#define take_ptr(p) ((__typeof__(p))take_ptr_(&(p)))
static inline int take_fd(int *fd) {
    int v = *fd;
    *fd = -1;
    return v;
}
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON as it comes, in pieces cut anywhere, with all left out that nobody asked for: the objects of a watch one after the other, or the
 * elements of a list's "items". A pod is some 5 KB, a drill needs 1 KB of it; trees of whole pages would be 30 MB, and an object of 5 MB
 * must not cost 5 MB. What is kept is told as JSON text for jansson, which is the judge of it; what is left out is only followed as far
 * as strings and brackets go. Pure. */
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* What to keep of an object's members; sub: of that member's own (arrays in between are passed through), NULL: all of it.
 * Keys are compared as bytes: one written with escapes is another. Ends with key NULL. */
struct keep {
    const char *key;
    const struct keep *sub;
};

enum sieve_mode {
    SIEVE_STREAM, /* documents, one after the other */
    SIEVE_LIST,   /* one document, whose "items" are told one by one */
};

struct sieve_spec {
    enum sieve_mode mode;
    const struct keep *keep;      /* of each document, or of each item; NULL: all */
    const struct keep *list_keep; /* SIEVE_LIST: of the document around the items; NULL: nothing */
    size_t max_kept;              /* bytes kept of one object; 0: 1 MiB */
    /* text is NUL-terminated, borrowed until the return. Non-zero stops, and is returned. Must not free the sieve. */
    int (*object)(const char *text, size_t len, void *arg, struct error *err);
    void *arg;
};

struct sieve;
int sieve_new(const struct sieve_spec *spec, struct sieve **ret, struct error *err); /* keeps the tables, borrowed */
void sieve_free(struct sieve *s);                                                    /* NULL-safe */
/* -EPROTO: no JSON, with the offset; -EFBIG: over max_kept; or what object returned. After a failure nothing more may be fed. */
int sieve_feed(struct sieve *s, const char *data, size_t len, struct error *err);
/* Nothing more will come: -EPIPE when that is in the middle of something. */
int sieve_end(struct sieve *s, struct error *err);
/* SIEVE_LIST: the document without its items, whole after sieve_end; never NULL. */
const char *sieve_rest(const struct sieve *s);
uint64_t sieve_bytes(const struct sieve *s); /* fed in all */

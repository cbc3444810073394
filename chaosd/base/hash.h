/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* FNV-1a, 64 bits (Fowler, Noll, Vo): tells texts apart, promises no more. Plans and digests hang on it: it stays as it is. */
#include <stdint.h>

#define HASH_SEED UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_byte(uint64_t h, unsigned char c) { return (h ^ c) * UINT64_C(0x100000001b3); }

static inline uint64_t hash_text(uint64_t h, const char *s) {
    for (; *s; s++)
        h = hash_byte(h, (unsigned char)*s);
    return h;
}

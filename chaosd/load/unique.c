/* SPDX-License-Identifier: Apache-2.0 */
#include "load/unique.h"

#include <unistd.h>

/* A bijection of 64 bits (the finaliser of splitmix64): different in, different out. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t unique_key(const struct load_context *ctx) {
    uint64_t run_start = (uint64_t)recorder_from_monotonic(ctx->recorder, 0);
    return mix(ctx->seed ^ mix(run_start ^ (uint64_t)getpid() << 40));
}

uint64_t unique_id(uint64_t key, uint16_t load, uint64_t index) { return mix(((uint64_t)load << 48 ^ index) ^ key); }

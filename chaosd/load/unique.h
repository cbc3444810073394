/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Numbers that no other request has: not in this run, not in another one, whatever the seed. */
#include "load/load.h"

/* Of a run: the same for all its loads. */
uint64_t unique_key(const struct load_context *ctx);
/* One to one for the loads of a run and up to 2^48 indices each. */
uint64_t unique_id(uint64_t key, uint16_t load, uint64_t index);

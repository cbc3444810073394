/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "cluster/local.h"

extern const struct shape local_shape;
/* Whether the subnet has an address for every pod. */
int local_check_addresses(const struct local_config *c, struct error *err);

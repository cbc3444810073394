/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster.h"
#include "cluster/local.h"

const struct cluster_kind *const cluster_kinds[] = {&cluster_local, NULL};

/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster.h"
#include "cluster/kubernetes.h"
#include "cluster/local.h"

const struct cluster_kind *const cluster_kinds[] = {&cluster_local, &cluster_kubernetes, NULL};

int cluster_able(unsigned needs, struct error *err) {
    int rc = 0;
    for (size_t i = 0; cluster_kinds[i]; i++)
        if ((cluster_kinds[i]->abilities & needs) == needs && (!cluster_kinds[i]->able || (rc = cluster_kinds[i]->able(err)) == 0))
            return 0;
    return rc;
}

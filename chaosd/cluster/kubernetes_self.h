/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which pod chaosd itself runs in, and on which node, as far as its surroundings tell. */
#include "cluster/cluster.h"

#define KUBERNETES_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

struct kubernetes_self { char pod[254], namespace[64], node[254]; }; /* "": not known, or it runs in none */

/* POD_NAME, POD_NAMESPACE and NODE_NAME by the downward API; else, where there is a service account, HOSTNAME and the account's namespace.
 * get is like getenv(3). */
void kubernetes_self_read(const char *(*get)(const char *name), const char *account_dir, struct kubernetes_self *ret);
bool kubernetes_self_is(const struct kubernetes_self *s, const struct pod *p);

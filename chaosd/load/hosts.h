/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The pods' names mean the pods, to a load's program alone. */
#include "base/error.h"

/* For child_spec.setup, in a mount namespace of the child's own: arg is the file to show as /etc/hosts; NULL: it stays as it is. */
int hosts_enter(void *arg, struct error *err);

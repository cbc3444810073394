/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the loads ask of this machine, before anything is done: open files, and local ports for fresh connections. */
#include "io/ports.h"
#include "load/load.h"

struct preflight_limits {
    int64_t files;     /* that may be open at once, the limit raised as far as it goes; INT64_MAX: no limit */
    struct ports ports; /* where the load's sockets will be */
    bool wide;          /* these ports are already as many as there are */
};
struct preflight_load {
    const struct load_spec *spec;
    struct load_needs needs;
    int64_t from_ns, to_ns; /* of the schedule */
};

/* list has room for every load of the scenario; what is in it lives in the arena. 0 or -ENOMEM. */
int preflight_collect(const struct scenario *s, struct arena *a, struct preflight_load *list, size_t *ret_pods);
/* Pure. 0, or what does not fit, with figures and what to do, in err. */
int preflight_files(const struct preflight_load *list, size_t count, size_t pods, int64_t files, struct error *err);
int preflight_ports(const struct preflight_load *list, size_t count, size_t load, const struct preflight_limits *l, struct error *err);

/* One line a load on stdout where print is set ("ok"/"no", and warnings, which go to stderr otherwise); the first failure in err. */
int preflight_loads(const struct scenario *s, bool print, struct error *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* Distribution tables: inverse cumulative distributions, mean 0 and deviation 1 scaled by 8192, as the kernel's netem wants them. */
#include "params.h"

#include <math.h>

enum { SCALE = 8192 };

/* The x with P(X <= x) = u, by bisection of erfc: slow, exact to the last digit that matters, and free of constants to mistype. */
static double normal_quantile(double u) {
    double lo = -8, hi = 8;
    for (int i = 0; i < 60; i++) {
        double mid = (lo + hi) / 2;
        if (0.5 * erfc(-mid / sqrt(2)) < u)
            lo = mid;
        else
            hi = mid;
    }
    return (lo + hi) / 2;
}

static double pareto_quantile(double u) { return (pow(1 - u, -1.0 / 3) - 1.5) * (4.0 / 3); }

static int16_t scaled(double x) {
    double v = rint(x * SCALE);
    return (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
}

void netem_dist_table(enum netem_dist dist, int16_t out[NETEM_TABLE]) {
    for (int i = 0; i < NETEM_TABLE; i++) {
        double u = (i + 0.5) / NETEM_TABLE, x = 2 * sqrt(3) * (u - 0.5); /* uniform of deviation 1 */
        if (dist == NETEM_NORMAL)
            x = normal_quantile(u);
        else if (dist == NETEM_PARETO)
            x = pareto_quantile(u);
        else if (dist == NETEM_PARETONORMAL)
            x = normal_quantile(u) / 4 + pareto_quantile(u) * 3 / 4;
        out[i] = scaled(x);
    }
}

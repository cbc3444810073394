/* SPDX-License-Identifier: Apache-2.0 */
/* netem's options as a kernel might send them. What is understood and may be asked for can be written again, and reads the same. */
#include "fuzz.h"

#include "params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned char wire[NETEM_WIRE_MAX];
    char why[NETEM_ERROR_SIZE] = "";
    struct netem_params p, again;
    /* the kernel's attributes begin at multiples of four */
    unsigned char *copy = malloc(size ? size : 1);
    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    int rc = netem_decode(copy, size, &p, why);
    if (rc < 0 && !*why)
        abort();
    if (rc == 0 && p.limit && netem_check(&p, why) == 0) {
        int len = netem_encode(&p, NETEM_ENCODE_SEED | NETEM_ENCODE_OVER, wire, sizeof wire, why);
        if (len < 0 || netem_decode(wire, (size_t)len, &again, why) < 0 || netem_differs(&p, &again))
            abort();
    }
    free(copy);
    return 0;
}

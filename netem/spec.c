/* SPDX-License-Identifier: Apache-2.0 */
/* What may be asked for. */
#include "netem.h"

#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V4_BITS = 96, ALL_BITS = 128, ADDRESS_TEXT = 64 };
#define LONGEST_NS (INT64_C(366) * 86400 * 1000000000)

int netem_peer_parse(const char *text, struct netem_peer *ret, char *why) {
    char address[ADDRESS_TEXT];
    struct netem_peer p = {.bits = ALL_BITS};
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof address)
        return netem_why(why, -EINVAL, "\"%.60s\": expected an address or a CIDR", text);
    memcpy(address, text, len);
    address[len] = 0;
    bool v4 = inet_pton(AF_INET, address, p.address + 12) == 1;
    if (v4)
        p.address[10] = p.address[11] = 0xff;
    else if (inet_pton(AF_INET6, address, p.address) != 1)
        return netem_why(why, -EINVAL, "\"%.60s\": expected an address or a CIDR", text);
    if (slash) {
        char *end;
        unsigned long most = v4 ? ALL_BITS - V4_BITS : ALL_BITS, bits = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || bits > most)
            return netem_why(why, -EINVAL, "\"%.60s\": expected a prefix of 0 to %lu bits", text, most);
        p.bits = (uint8_t)(bits + (v4 ? V4_BITS : 0));
    }
    *ret = p;
    return 0;
}

static bool is_name(const char *s, size_t size) {
    size_t len = s ? strlen(s) : 0;
    return len > 0 && len < size && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

static int check_ranges(const char *what, const struct netem_range *r, size_t count, uint8_t protocol, char *why) {
    if (count > NETEM_RANGES)
        return netem_why(why, -EINVAL, "%s ports: at most %d ranges", what, NETEM_RANGES);
    for (size_t i = 0; i < count; i++)
        if (r[i].first > r[i].last)
            return netem_why(why, -EINVAL, "%s ports: %u-%u begins behind its end", what, r[i].first, r[i].last);
    if (count && protocol && protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_UDPLITE && protocol != IPPROTO_SCTP && protocol != IPPROTO_DCCP)
        return netem_why(why, -EINVAL, "%s ports: protocol %u has none", what, protocol);
    return 0;
}

static int check_peers(const struct netem_fault *f, char *why) {
    bool meant = f->peer_count == 0;
    if (f->peer_count > NETEM_PEERS_MOST)
        return netem_why(why, -EINVAL, "at most %d peers", NETEM_PEERS_MOST);
    for (size_t i = 0; i < f->peer_count; i++) {
        if (f->peers[i].bits > ALL_BITS)
            return netem_why(why, -EINVAL, "peer %zu: a prefix has at most %d bits", i + 1, ALL_BITS);
        meant |= !f->peers[i].except;
    }
    return meant ? 0 : netem_why(why, -EINVAL, "all peers are exceptions: name the network that they are excepted from");
}

int netem_fault_check(const struct netem_fault *f, char *why) {
    if (f->id == 0)
        return netem_why(why, -EINVAL, "a fault's id begins at 1");
    if (!is_name(f->run, NETEM_RUN_SIZE))
        return netem_why(why, -EINVAL, "the run's name: expected 1 to %d letters, digits, '.', '_', '-'", NETEM_RUN_SIZE - 1);
    if (!f->dev || !*f->dev || strlen(f->dev) >= NETEM_DEV_SIZE || strchr(f->dev, '/'))
        return netem_why(why, -EINVAL, "interface: expected a name of 1 to %d characters", NETEM_DEV_SIZE - 1);
    if ((unsigned)f->act >= NETEM_ACT_COUNT)
        return netem_why(why, -EINVAL, "unknown act");
    if (f->directions < NETEM_OUT || f->directions > NETEM_BOTH)
        return netem_why(why, -EINVAL, "direction: expected out, in or both");
    if (f->for_ns <= 0 || f->for_ns > LONGEST_NS)
        return netem_why(why, -EINVAL, "duration: expected more than nothing and at most a year");
    if (f->act == NETEM_SHAPE && !f->params)
        return netem_why(why, -EINVAL, "no parameters to shape by");
    if (f->act == NETEM_DROP && (f->drop_ppm == 0 || f->drop_ppm > NETEM_PPM))
        return netem_why(why, -EINVAL, "loss: expected more than 0 and at most 100 %%");
    int rc = check_ranges("local", f->local_ports, f->local_count, f->protocol, why);
    if (rc == 0)
        rc = check_ranges("peer", f->peer_ports, f->peer_port_count, f->protocol, why);
    if (rc == 0)
        rc = check_peers(f, why);
    return rc == 0 && f->act == NETEM_SHAPE ? netem_check(f->params, why) : rc;
}

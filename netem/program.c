/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include "text.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "classify.skel.h"

enum { TIDY_STEP = NETEM_STEP, MAPS_OF_ONE = 8 };

struct held {
    enum { FREE, TAKEN, DIRTY } state;
    struct classify_peer *peers; /* what was written for it; deleted from the end */
    size_t count, room;
};

struct program {
    struct classify *skel;
    uint32_t redirect_id, drop_id;
    struct maps maps;
    int peers_fd;
    struct held *held;
    unsigned next; /* round robin: a slot rests before it serves again */
    size_t dirty;
};

/* --- maps --- */

static size_t pages(size_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (n + page - 1) / page * page;
}

static int map_slots(struct maps *m) {
    m->mapped = pages(m->count * sizeof *m->slots);
    m->slots = mmap(NULL, m->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, m->slots_fd, 0);
    if (m->slots != MAP_FAILED)
        return 0;
    m->slots = NULL;
    return -errno;
}

static void unmap_slots(struct maps *m) {
    if (m->slots)
        munmap(m->slots, m->mapped);
    m->slots = NULL;
}

void maps_switch(struct maps *m, unsigned slot, uint64_t until_ns) {
    if (slot < m->count)
        __atomic_store_n(&m->slots[slot].until_ns, until_ns, __ATOMIC_RELEASE);
}

int maps_counts(const struct maps *m, unsigned slot, bool ingress, struct netem_counts *ret) {
    uint32_t key = slot * 2 + ingress;
    int cpus = libbpf_num_possible_cpus();
    netem_cleanup_free struct classify_counters *each = cpus > 0 ? calloc((size_t)cpus, sizeof *each) : NULL;
    *ret = (struct netem_counts){0};
    if (!each)
        return cpus < 0 ? cpus : -ENOMEM;
    if (bpf_map_lookup_elem(m->counters_fd, &key, each) < 0)
        return -errno;
    for (int i = 0; i < cpus; i++) {
        ret->seen += each[i].seen;
        ret->packets += each[i].packets;
        ret->bytes += each[i].bytes;
    }
    return 0;
}

int maps_put_counts(const struct maps *m, unsigned slot, bool ingress, const struct netem_counts *c) {
    uint32_t key = slot * 2 + ingress;
    int cpus = libbpf_num_possible_cpus();
    netem_cleanup_free struct classify_counters *each = cpus > 0 ? calloc((size_t)cpus, sizeof *each) : NULL;
    if (!each)
        return cpus < 0 ? cpus : -ENOMEM;
    each[0] = (struct classify_counters){c->seen, c->packets, c->bytes};
    return bpf_map_update_elem(m->counters_fd, &key, each, BPF_ANY) < 0 ? -errno : 0;
}

/* --- loading --- */

static uint32_t id_of(int fd) {
    struct bpf_prog_info info = {0};
    uint32_t len = sizeof info;
    return bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ? 0 : info.id;
}

static int load(struct program *p, unsigned slots) {
    p->skel = classify__open();
    if (!p->skel)
        return -errno;
    int rc = bpf_map__set_max_entries(p->skel->maps.chaosd_slots, slots);
    if (rc == 0)
        rc = bpf_map__set_max_entries(p->skel->maps.chaosd_counters, slots * 2);
    if (rc == 0)
        rc = classify__load(p->skel);
    if (rc < 0)
        return rc;
    p->maps = (struct maps){.slots_fd = bpf_map__fd(p->skel->maps.chaosd_slots), .counters_fd = bpf_map__fd(p->skel->maps.chaosd_counters), .count = slots};
    p->peers_fd = bpf_map__fd(p->skel->maps.chaosd_peers);
    p->redirect_id = id_of(program_fd(p, true));
    p->drop_id = id_of(program_fd(p, false));
    return map_slots(&p->maps);
}

static int say(int rc, char *why) {
    if (rc == -EPERM || rc == -EACCES)
        return netem_why(why, -EPERM, "the classifier may not be loaded: it needs CAP_BPF and CAP_NET_ADMIN (before Linux 5.8 CAP_SYS_ADMIN) in the host's user namespace");
    if (rc == -ENOSYS || rc == -EINVAL)
        return netem_why(why, rc, "this kernel cannot load the classifier: it needs BPF with memory-mapped arrays (Linux 5.8 or newer): %s", strerror(-rc));
    return netem_why(why, rc, "load the classifier: %s", strerror(-rc));
}

int program_open(unsigned slots, struct program **ret, char *why) {
    struct program *p = calloc(1, sizeof *p);
    slots = (slots ? slots : NETEM_SLOTS) + 1; /* slot 0 is never used */
    if (slots > NETEM_SLOTS_MOST + 1) {
        free(p);
        return netem_why(why, -EINVAL, "at most %d faults at once", NETEM_SLOTS_MOST);
    }
    if (p)
        p->held = calloc(slots, sizeof *p->held);
    if (!p || !p->held) {
        free(p);
        return netem_why(why, -ENOMEM, "out of memory");
    }
    p->next = 1;
    libbpf_print_fn_t before = libbpf_set_print(NULL); /* a library does not talk; what it says in errors is in the code */
    int rc = load(p, slots);
    libbpf_set_print(before);
    if (rc < 0) {
        program_close(p);
        return say(rc, why);
    }
    *ret = p;
    return 0;
}

void program_close(struct program *p) {
    if (!p)
        return;
    for (unsigned i = 0; p->held && i < p->maps.count; i++)
        free(p->held[i].peers);
    free(p->held);
    unmap_slots(&p->maps);
    classify__destroy(p->skel);
    free(p);
}

int program_fd(const struct program *p, bool redirect) {
    return bpf_program__fd(redirect ? p->skel->progs.chaosd_redirect : p->skel->progs.chaosd_drop);
}
struct maps *program_maps(struct program *p) { return &p->maps; }
bool program_is(const struct program *p, uint32_t id) { return p && id && (id == p->redirect_id || id == p->drop_id); }

/* --- slots --- */

static int find_free(struct program *p) {
    for (unsigned i = 1; i < p->maps.count; i++) {
        unsigned at = p->next;
        p->next = p->next + 1 < p->maps.count ? p->next + 1 : 1;
        if (p->held[at].state == FREE)
            return (int)at;
    }
    return -ENOSPC;
}

int program_take(struct program *p, size_t peers, char *why) {
    static const struct netem_counts none;
    program_tidy(p);
    int at = find_free(p);
    if (at < 0)
        return netem_why(why, at, "%u faults at once are all that were asked for%s", p->maps.count - 1, p->dirty ? " (the peers of some that are gone are still being forgotten)" : "");
    struct held *h = &p->held[at];
    h->peers = peers ? calloc(peers, sizeof *h->peers) : NULL;
    if (peers && !h->peers)
        return netem_why(why, -ENOMEM, "out of memory");
    h->room = peers;
    h->count = 0;
    int rc = maps_put_counts(&p->maps, (unsigned)at, false, &none);
    if (rc == 0)
        rc = maps_put_counts(&p->maps, (unsigned)at, true, &none);
    if (rc < 0) {
        free(h->peers);
        h->peers = NULL;
        return netem_why(why, rc, "set the counters to zero: %s", strerror(-rc));
    }
    h->state = TAKEN;
    return at;
}

static struct classify_peer key_of(const struct netem_peer *peer, unsigned slot) {
    static const unsigned char mapped[12] = {[10] = 0xff, 0xff};
    struct classify_peer k = {.prefix = 32 + peer->bits, .slot = htonl(slot)};
    if (peer->bits >= 96 && memcmp(peer->address, mapped, sizeof mapped) == 0) {
        k.prefix -= 96;
        k.slot = htonl(slot | CLASSIFY_IP4);
        memcpy(k.address, peer->address + 12, 4);
    } else {
        memcpy(k.address, peer->address, sizeof k.address);
    }
    return k;
}

int program_fill(struct program *p, unsigned slot, const struct netem_peer *peers, size_t count, char *why) {
    struct held *h = &p->held[slot];
    uint32_t meant[NETEM_STEP], n = 0;
    const struct netem_peer *from = peers + h->count;
    struct classify_peer *to = h->peers + h->count;
    for (; n < NETEM_STEP && h->count + n < count; n++) {
        to[n] = key_of(&from[n], slot);
        meant[n] = !from[n].except;
    }
    uint32_t done = n;
    if (n && bpf_map_update_batch(p->peers_fd, to, meant, &done, NULL) < 0)
        for (done = 0; done < n; done++) /* a kernel without batches for tries, or a failure worth its own code */
            if (bpf_map_update_elem(p->peers_fd, &to[done], &meant[done], BPF_ANY) < 0) {
                h->count += done;
                return netem_why(why, errno == ENOSPC ? -ENOSPC : -errno, "write peer %zu: %s", h->count + 1, errno == ENOSPC ? "the faults of this process name too many" : strerror(errno));
            }
    h->count += n;
    return h->count < count;
}

void program_release(struct program *p, unsigned slot) {
    struct held *h = &p->held[slot];
    if (slot == 0 || slot >= p->maps.count || h->state != TAKEN)
        return;
    maps_switch(&p->maps, slot, 0);
    h->state = DIRTY;
    p->dirty++;
}

static void forget_some(struct program *p, struct held *h, size_t most) {
    size_t n = h->count < most ? h->count : most, from = h->count - n;
    uint32_t done = (uint32_t)n;
    if (n && bpf_map_delete_batch(p->peers_fd, h->peers + from, &done, NULL) < 0)
        for (size_t i = 0; i < n; i++) /* named twice, or no batches: one by one, and what is not there is as good */
            bpf_map_delete_elem(p->peers_fd, &h->peers[from + i]);
    h->count = from;
}

int program_tidy(struct program *p) {
    size_t most = TIDY_STEP;
    for (unsigned i = 1; p->dirty && most && i < p->maps.count; i++) {
        struct held *h = &p->held[i];
        if (h->state != DIRTY)
            continue;
        size_t before = h->count;
        forget_some(p, h, most);
        most -= before - h->count;
        if (h->count == 0) {
            free(h->peers);
            *h = (struct held){.state = FREE};
            p->dirty--;
        }
    }
    return p->dirty > 0;
}

/* --- those of others --- */

/* Keeps the descriptor of the map that has this name and layout. */
static void keep_map(int fd, const struct bpf_map_info *i, struct maps *m) {
    if (strcmp(i->name, "chaosd_slots") == 0 && i->value_size == sizeof(struct classify_slot) && m->slots_fd < 0) {
        m->slots_fd = fd;
        m->count = i->max_entries;
    } else if (strcmp(i->name, "chaosd_counters") == 0 && i->value_size == sizeof(struct classify_counters) && m->counters_fd < 0) {
        m->counters_fd = fd;
    } else {
        close(fd);
    }
}

static bool reach_maps(uint32_t program_id, struct maps *m) {
    uint32_t ids[MAPS_OF_ONE] = {0}, len = sizeof(struct bpf_prog_info);
    struct bpf_prog_info info = {.nr_map_ids = MAPS_OF_ONE, .map_ids = (uintptr_t)ids};
    *m = (struct maps){.slots_fd = -1, .counters_fd = -1};
    int fd = bpf_prog_get_fd_by_id(program_id);
    if (fd < 0)
        return false;
    int rc = bpf_obj_get_info_by_fd(fd, &info, &len);
    close(fd);
    for (uint32_t i = 0; rc == 0 && i < info.nr_map_ids && i < MAPS_OF_ONE; i++) {
        struct bpf_map_info map = {0};
        uint32_t map_len = sizeof map;
        int map_fd = bpf_map_get_fd_by_id(ids[i]);
        if (map_fd >= 0 && bpf_obj_get_info_by_fd(map_fd, &map, &map_len) == 0)
            keep_map(map_fd, &map, m);
        else if (map_fd >= 0)
            close(map_fd);
    }
    return m->slots_fd >= 0 && m->counters_fd >= 0 && map_slots(m) == 0;
}

static void leave(struct maps *m) {
    unmap_slots(m);
    netem_close_fd(&m->slots_fd);
    netem_close_fd(&m->counters_fd);
}

struct maps *reach(struct reached *r, struct program *own, uint32_t program_id) {
    if (program_is(own, program_id))
        return &own->maps;
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i].program == program_id)
            return r->list[i].ok ? &r->list[i].maps : NULL;
    void *more = realloc(r->list, (r->count + 1) * sizeof *r->list);
    if (!more)
        return NULL;
    r->list = more;
    r->list[r->count].program = program_id;
    r->list[r->count].ok = reach_maps(program_id, &r->list[r->count].maps);
    if (!r->list[r->count].ok)
        leave(&r->list[r->count].maps);
    return r->list[r->count++].ok ? &r->list[r->count - 1].maps : NULL;
}

void reached_free(struct reached *r) {
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i].ok)
            leave(&r->list[i].maps);
    free(r->list);
    *r = (struct reached){0};
}

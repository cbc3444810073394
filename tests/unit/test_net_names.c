/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "fault/net.h"
#include "io/loop.h"

/* Numbers are names that need no server. */
static const char *const items[] = {"192.0.2.7", "2001:db8::1"};

struct drill {
    struct fault_env env;
    struct net_again *again;
    unsigned looks, until;
};

static void on_look(void *arg) {
    struct drill *d = arg;
    if (++d->looks == d->until)
        loop_stop(d->env.loop);
}

static void looked_up_again_nothing_is_new(void **state) {
    (void)state;
    struct drill d = {.until = 3};
    struct error err;
    struct netem_peer *peers = NULL;
    size_t count = 0, known;
    const struct net_fault n = {.names = {items, 2}};
    setenv("CHAOSD_RENEW_MS", "5", 1);
    assert_int_equal(loop_new(&d.env.loop, &err), 0);
    assert_int_equal(net_look_up(&d.env, &n, &err), 0);
    assert_int_equal(net_names_add(&d.env, &n.names, &peers, &count), 2);
    assert_int_equal(peers[0].address[10], 0xff); /* IPv4 in its IPv6 form, a single host */
    assert_int_equal(peers[0].address[15], 7);
    assert_int_equal(peers[0].bits, 128);
    assert_int_equal(peers[1].address[0], 0x20);
    assert_int_equal(net_again_start(&d.env, NULL, on_look, &d, &d.again, &err), 0);
    loop_run(d.env.loop);
    net_again_stop(d.again);
    assert_int_equal(d.looks, 3);
    assert_int_equal(net_names_add(&d.env, &n.names, &peers, &count), 0);
    assert_non_null(net_name_peers(&d.env, items[0], &known));
    assert_int_equal(known, 1);
    free(peers);
    net_names_free(d.env.names);
    loop_free(d.env.loop);
}

static void a_list_gets_what_it_lacks(void **state) {
    (void)state;
    struct fault_env env = {0};
    struct error err;
    struct netem_peer *peers = calloc(1, sizeof *peers);
    size_t count = 1;
    const struct net_fault n = {.names = {items, 1}};
    assert_non_null(peers);
    assert_int_equal(netem_peer_parse("192.0.2.7", peers, err.text), 0);
    assert_int_equal(net_look_up(&env, &n, &err), 0);
    assert_int_equal(net_names_add(&env, &n.names, &peers, &count), 0);
    assert_int_equal(netem_peer_parse("192.0.2.0/24", peers, err.text), 0); /* a network that holds it is another far end */
    assert_int_equal(net_names_add(&env, &n.names, &peers, &count), 1);
    assert_int_equal(count, 2);
    free(peers);
    net_names_free(env.names);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(looked_up_again_nothing_is_new), cmocka_unit_test(a_list_gets_what_it_lacks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* samples.bin beside a sound history of two loads and one fault. The first 64 bytes are the file's header. */
#include "judge.h"

static const char history[] =
    "{\"schema\":1,\"run\":\"fuzz\",\"scenario\":\"fuzz\",\"seed\":1,\"wall_ns\":1700000000000000000,\"version\":\"0\",\"duration_ns\":10000000000,"
    "\"settle_ns\":1000000000,\"loads\":["
    "{\"name\":\"a\",\"kind\":\"http\",\"rate_micro\":10000000,\"lanes\":[\"fresh\",\"reused\"],\"deadline_ns\":500000000,\"goods\":2,\"over_ns\":100000000},"
    "{\"name\":\"b\",\"kind\":\"http\",\"rate_micro\":10000000,\"lanes\":[\"reused\"],\"deadline_ns\":500000000,\"goods\":5,\"over_ns\":1000000000}],"
    "\"faults\":[{\"name\":\"kill\",\"kind\":\"pod-kill\",\"holds\":false}],\"workloads\":[{\"name\":\"w\",\"replicas\":2}],"
    "\"expect\":[\"availability(a) >= 95%\",\"downtime.max < 1s\",\"recovery.max < 2s\",\"p(99)(b) < 300ms\"],"
    "\"plan\":[{\"fault\":0,\"occurrence\":1,\"at_ns\":2000000000,\"for_ns\":0,\"draw\":\"1\"}]}\n"
    "{\"seq\":0,\"t\":1000,\"actor\":\"run\",\"op\":\"run/schedule\",\"phase\":\"info\",\"kind\":\"\",\"target\":\"\",\"data\":{}}\n"
    "{\"seq\":1,\"t\":2000,\"actor\":\"load\",\"op\":\"load/target\",\"phase\":\"info\",\"kind\":\"\",\"target\":\"w-0\",\"data\":{\"id\":0}}\n"
    "{\"seq\":2,\"t\":2000001000,\"actor\":\"fault\",\"op\":\"fault/act\",\"phase\":\"invoke\",\"kind\":\"pod-kill\",\"target\":\"w-0\","
    "\"data\":{\"id\":1,\"fault\":\"kill\",\"occurrence\":1,\"planned_ns\":2000000000,\"candidates\":[\"w-0\"],\"draw\":\"1\"}}\n"
    "{\"seq\":3,\"t\":2000002000,\"actor\":\"fault\",\"op\":\"fault/act\",\"phase\":\"ok\",\"kind\":\"pod-kill\",\"target\":\"w-0\",\"data\":{\"id\":1}}\n"
    "{\"seq\":4,\"t\":2000003000,\"actor\":\"fault\",\"op\":\"fault/observed\",\"phase\":\"info\",\"kind\":\"\",\"target\":\"w-0\",\"data\":{\"id\":1}}\n"
    "{\"seq\":5,\"t\":10000000000,\"actor\":\"run\",\"op\":\"run/loads-end\",\"phase\":\"info\",\"kind\":\"\",\"target\":\"\",\"data\":{}}\n"
    "{\"seq\":6,\"t\":10000001000,\"actor\":\"run\",\"op\":\"run/end\",\"phase\":\"info\",\"kind\":\"\",\"target\":\"\",\"data\":{}}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool begun;
    if (!begun) { /* a history that is refused would keep every sample from being read */
        struct history *h = NULL;
        fuzz_write("history.jsonl", history, sizeof history - 1);
        if (history_load(fuzz_dir, &h, NULL) < 0)
            abort();
        history_free(h);
    }
    begun = true;
    fuzz_write("samples.bin", data, size);
    fuzz_judge();
    return 0;
}

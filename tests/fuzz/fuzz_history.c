/* SPDX-License-Identifier: Apache-2.0 */
/* history.jsonl as a crash, a full disk or a stranger may have left it, with no samples beside it. */
#include "judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_write("history.jsonl", data, size);
    fuzz_judge();
    return 0;
}

# SPDX-License-Identifier: Apache-2.0
"""The truth harness in brief (tests/truth/harness.py): outages known to the nanosecond against what chaosd says of them."""
import pathlib
import sys

import tap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "truth"))
import harness  # noqa: E402

PERIOD_MS, DEADLINE_MS, PHASES = 50, 400, 6
GROUPS = [("refuse", 137), ("refuse", 1013), ("503", 137), ("reset", 137), ("hang", 137), ("hang", 1013), ("blackhole", 1013)]


def test_truth():
    cells = [c for kind, n in GROUPS for c in harness.stratified(kind, n, DEADLINE_MS, PERIOD_MS, PHASES)]
    h = harness.Harness(cells, seconds=180).go()
    harness.print_table(h.table())
    assert not h.wrong, h.verdict()
    # What is demanded in any noise was demanded of every attempt. A machine that never keeps still for the rest is told, not blamed on chaosd,
    # as long as each kind, length and lane was seen undisturbed; `make truth` demands all.
    unseen = [x for x in h.table() if not x["contained"]]
    assert not unseen and len(h.table()) == 2 * len(GROUPS), f"{h.verdict()}; never: {unseen}"
    if h.left():
        print(f"# the machine: {h.verdict()}")


tap.main()

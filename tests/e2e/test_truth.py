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
    h = harness.Harness(cells).go()
    harness.print_table(h.table())
    assert not h.verdict(), h.verdict()


tap.main()

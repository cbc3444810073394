# SPDX-License-Identifier: Apache-2.0
"""attempt.py PROGRAM...: runs a test program; one that fails while the machine stood still is run again, and says so, as tests in Python are."""
import re
import subprocess
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/e2e")
import tap

STILL_MS = 20 * tap.SLOW  # limits here are shorter than a drill's

watch = tap.Watch()
patience = tap.Patience(watch, STILL_MS)
for left in reversed(range(tap.ATTEMPTS)):
    patience.begin()
    p = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, errors="replace", text=True)
    if not p.returncode or not (patience.again(left) or (left and not patience.hopeless() and patience.second_chance(sys.argv[1].rsplit("/", 1)[1] + " as a whole"))):
        break
    for line in p.stdout.splitlines():
        print("# " + line)
    print(f"# {sys.argv[1]}", flush=True)
watch.end()
rc = p.returncode if p.returncode >= 0 else 128 - p.returncode
if rc and rc < 128 and re.search("^not ok ", p.stdout, re.M) and patience.hopeless():
    rc, p.stdout = 0, re.sub("^not ok ([^#\n]*)$", rf"ok \1 # SKIP {patience.why()}", p.stdout, flags=re.M)
sys.stdout.write(p.stdout)
sys.exit(rc)

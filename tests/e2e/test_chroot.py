# SPDX-License-Identifier: Apache-2.0
"""chaosd in a chroot whose "/" is a plain folder, as build systems and rescue systems have it: pods start, see that root, and their mounts stay theirs."""
import os
import subprocess

import tap
from tap import CHAOSD, SLOW, Scratch, expect_exit

# In a mount namespace where everything is shared, so that a mount that got out of a pod would show.
SCRIPT = """
set -e
root=$1 build=$2
mount --make-rshared /
mkdir -p $root/usr $root/etc $root/proc $root/sys $root/dev $root/run $root/tmp $root/var $root/build
for l in bin sbin lib lib64; do if [ -L /$l ]; then ln -s usr/$l $root/$l; elif [ -d /$l ]; then mkdir $root/$l; mount --rbind /$l $root/$l; fi; done
for d in usr etc proc sys dev run; do mount --rbind /$d $root/$d; done
mount --bind $build $root/build
cp $3 $root/tmp/a.yaml
cat /proc/self/mountinfo >$root/tmp/before
chroot $root env CHAOSD_STATE_DIR=/tmp/state /build/chaosd run --yes --no-live /tmp/a.yaml --out /tmp/run &
pid=$!
until grep -qs "in the pod" $root/tmp/run/logs/web-0.log || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done
cat /proc/self/mountinfo >$root/tmp/during
wait $pid
"""

WEB = """
name: web
cluster:
  local:
    workloads:
      - name: web
        command: [sh, -c, "test $$$$ = 1; touch /tmp/mine; echo in the pod: $(ls -d /a-*) $(cat /proc/1/comm) $(ls /tmp) at $(pwd); exec python3 -m http.server --bind ${pod.ip} 8080"]
        ready: {http: {url: "http://${pod.ip}:8080/"}}
load:
  - name: gets
    http: {rate: 20/s, targets: {selector: {pods: [web-0]}, base: "http://${pod.ip}:8080"}, steps: [{get: /}]}
duration: 1s
settle: 0s
"""


def test_pods_start_where_the_root_is_no_mount():
    with Scratch() as s:
        root = s.dir / "root"
        root.mkdir()
        (root / "a-marker").touch()
        path = s.write("a.yaml", WEB)
        p = subprocess.run(["unshare", "-m", "sh", "-c", SCRIPT, "sh", root, os.path.dirname(CHAOSD), path], capture_output=True, text=True, timeout=60 * SLOW)
        expect_exit(p, 0)
        log = (root / "tmp/run/logs/web-0.log").read_text()
        assert "in the pod: /a-marker sh mine" in log, log
        assert not (root / "tmp/mine").exists(), "the pod's /tmp is not its own"

        def mounts(name):
            points = [line.split()[4] for line in (root / "tmp" / name).read_text().splitlines()]
            return sorted(m for m in points if m.startswith(str(root)) and not m.startswith(f"{root}/run"))
        assert mounts("before") == mounts("during"), set(mounts("during")) ^ set(mounts("before"))
        assert f"{root}" not in mounts("before") and f"{root}/proc" in mounts("before"), mounts("before")


tap.main()

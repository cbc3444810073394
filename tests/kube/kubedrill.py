# SPDX-License-Identifier: Apache-2.0
"""A drill on the lab's cluster that runs beside the test: netdrill's, where the pods are a Kubernetes'. d.p is chaosd itself."""
import os
import subprocess

import netdrill
from tap import CHAOSD, Scratch, summary


def in_lab(lab):
    """A command's beginning and environment: where the API server, the pods and the Services are reached; nothing stands between it and its pid."""
    env = {k: v for k, v in os.environ.items() if "PROXY" not in k.upper() and not k.startswith("KUBE")}
    return ["nsenter", f"--net=/proc/{lab.pid('fabric')}/ns/net", "--"], dict(env, KUBECONFIG=str(lab.kubeconfig))


class KubeDrill(netdrill.Drill):
    def __init__(self, lab, text, *args, timeout=120):
        super().__init__(text, *args, timeout=timeout)
        self.lab = lab

    def __enter__(self):
        self.lab.set_clock()
        self.scratch = Scratch().__enter__()
        self.dir = self.scratch.dir / "run"
        self.path = self.scratch.write("drill.yaml", self.text)
        self.out = open(self.scratch.dir / "out", "w+")
        first, env = in_lab(self.lab)
        self.env = dict(env, CHAOSD_STATE_DIR=self.scratch.env["CHAOSD_STATE_DIR"])
        self.p = subprocess.Popen([*first, CHAOSD, "run", self.path, "--yes", "--out", self.dir, *self.args], env=self.env, cwd=self.scratch.dir,
                                  stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.STDOUT)
        return self

    def end(self, *codes):
        """Its summary, whatever the verdict where none is named: on a machine with other work, users may notice a thing or two."""
        code = self.p.wait(timeout=self.timeout)
        assert code in (codes or (0, 1, 2)), f"exit {code}, wanted {codes}\n{self.said()[-4000:]}"
        return summary(self.dir)

    def acts(self, phase, kind=None):
        return [e for e in self.events() if e["op"] == "fault/act" and e["phase"] == phase and kind in (None, e["kind"])]

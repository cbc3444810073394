# SPDX-License-Identifier: Apache-2.0
"""fill.py KUBECONFIG NAMESPACE PREFIX COUNT: makes pods that nothing schedules, so that they are objects alone. For a cluster of the lab."""
import base64
import http.client
import json
import ssl
import sys
import tempfile
import threading
import urllib.parse

import subprocess


def settings(path):
    """As JSON, by kubectl, which knows the format."""
    o = json.loads(subprocess.run(["kubectl", "--kubeconfig", path, "config", "view", "--raw", "--minify", "--output=json"], capture_output=True, text=True, check=True).stdout)
    return o["clusters"][0]["cluster"], o["users"][0]["user"]


def context(cluster, user):
    c = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile("w") as f:
        f.write(base64.b64decode(user["client-certificate-data"]).decode() + base64.b64decode(user["client-key-data"]).decode())
        f.flush()
        c.load_cert_chain(f.name)
    return c


def pod(name):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "bulk", "shard": name[-1]}},
            "spec": {"schedulerName": "nobody", "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False, "containers": [
                {"name": "main", "image": "chaosd.lab/busybox:1", "env": [{"name": f"SETTING_{i}", "value": "x" * 40} for i in range(10)]}]}}


def worker(names, host, tls, namespace):
    c = http.client.HTTPSConnection(host, context=tls)
    for name in names:
        c.request("POST", f"/api/v1/namespaces/{namespace}/pods", json.dumps(pod(name)), {"Content-Type": "application/json"})
        r = c.getresponse()
        r.read()
        if r.status not in (201, 409):
            raise SystemExit(f"{name}: {r.status}")


def main():
    path, namespace, prefix, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    cluster, user = settings(path)
    host, tls = urllib.parse.urlsplit(cluster["server"]).netloc, context(cluster, user)
    names = [f"{prefix}{i}" for i in range(count)]
    threads = [threading.Thread(target=worker, args=(names[i::8], host, tls, namespace)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


main()

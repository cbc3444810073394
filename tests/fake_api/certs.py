# SPDX-License-Identifier: Apache-2.0
"""Certificates for the fake API server, by the openssl command: an authority, a server's, a client's, and one of each that has expired."""
import pathlib
import subprocess

CONFIG = """
[ca]
default_ca = it
[it]
dir = {dir}
database = {dir}/index
serial = {dir}/serial
new_certs_dir = {dir}
default_md = sha256
policy = any
email_in_dn = no
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
organizationName = optional
[server]
subjectAltName = DNS:localhost,DNS:api.lab,IP:127.0.0.1
[client]
extendedKeyUsage = clientAuth
"""


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def make(folder):
    """{"ca": path, "server": (cert, key), "server-expired": ..., "server-foreign": ..., "client": ..., "client-expired": ...}"""
    d = pathlib.Path(folder)
    d.mkdir(parents=True, exist_ok=True)
    (d / "config").write_text(CONFIG.format(dir=d))
    (d / "index").write_text("")
    (d / "serial").write_text("1000\n")
    for name in ("ca", "foreign"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", d / f"{name}.key", "-out", d / f"{name}.crt",
                "-subj", f"/CN=fake-{name}", "-days", "3650")
    made = {"ca": d / "ca.crt", "foreign": d / "foreign.crt"}
    for name, authority, kind, subject, start, end in [
        ("server", "ca", "server", "/CN=localhost", "20200101000000Z", "20450101000000Z"),
        ("server-expired", "ca", "server", "/CN=localhost", "20200101000000Z", "20200201000000Z"),
        ("server-foreign", "foreign", "server", "/CN=localhost", "20200101000000Z", "20450101000000Z"),
        ("client", "ca", "client", "/O=drills/CN=alice", "20200101000000Z", "20450101000000Z"),
        ("client-expired", "ca", "client", "/O=drills/CN=old", "20200101000000Z", "20200201000000Z"),
    ]:
        key, request, cert = d / f"{name}.key", d / f"{name}.csr", d / f"{name}.crt"
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-subj", subject)
        openssl("ca", "-batch", "-config", d / "config", "-cert", d / f"{authority}.crt", "-keyfile", d / f"{authority}.key", "-in", request, "-out", cert,
                "-startdate", start, "-enddate", end, "-extensions", kind, "-notext")
        made[name] = (cert, key)
    return made

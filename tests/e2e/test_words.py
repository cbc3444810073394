# SPDX-License-Identifier: Apache-2.0
"""The generated texts: fresh, right, and of use to the programs they are written for."""
import json
import re
import shutil
import subprocess

import tap
from tap import CHAOSD, ROOT, Scratch, Skip, chaosd, expect_exit

FILES = {"schema": "scenarios/schema.json", "scenarios": "docs/SCENARIOS.md", "man": "docs/chaosd.1", "bash": "deploy/completion/chaosd.bash"}
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that Debian's python3-yaml and python3-jsonschema belong to

# Reads scenarios, one YAML text a member of a JSON list, and prints the schema's errors for each.
VALIDATE = """
import json, sys, jsonschema, yaml
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
v = jsonschema.Draft7Validator(schema)
print(json.dumps([["/".join(map(str, e.absolute_path)) + ": " + e.message for e in v.iter_errors(yaml.safe_load(t))] for t in json.load(sys.stdin)]))
"""


def validate(texts):
    probe = subprocess.run([SYSTEM_PYTHON, "-c", "import yaml, jsonschema"], capture_output=True)
    if probe.returncode:
        raise Skip("(ci) not installed: python3-yaml, python3-jsonschema")
    p = subprocess.run([SYSTEM_PYTHON, "-c", VALIDATE, ROOT / FILES["schema"]], input=json.dumps(texts), capture_output=True, text=True)
    assert p.returncode == 0, p.stderr[-2000:]
    return json.loads(p.stdout)


def test_committed_texts_are_fresh():
    stale = [path for word, path in FILES.items() if (ROOT / path).read_text() != expect_exit(chaosd("__words", word), 0).stdout]
    assert not stale, f"stale: {stale}; run `make words` and commit what it writes"


def test_unknown_text_is_bad_usage():
    assert "schema" in expect_exit(chaosd("__words", "poem"), 64).stderr
    expect_exit(chaosd("__words"), 64)
    assert "__words" not in chaosd("--help").stdout


def test_schema_accepts_every_scenario():
    paths = sorted((ROOT / "scenarios").glob("*.yaml"))
    assert len(paths) >= 6
    for path, errors in zip(paths, validate([p.read_text() for p in paths])):
        assert not errors, f"{path.name}: {errors[:3]}"


# What both refuse: (text in the example, what is written instead).
WRONG = [
    ("duration: 25s", "duration: 25"),
    ("duration: 25s", "duration: 25 s"),
    ("duration: 25s", ""),
    ("duration: 25s", "duration: 25s\nlaod: []"),
    ("replicas: 2", "replicas: 0"),
    ("replicas: 2", "replicas: 201"),
    ("replicas: 2", "replicas: two"),
    ("policy: always", "policy: sometimes"),
    ("lanes: [fresh, reused]", "lanes: [fresh, stale]"),
    ("lanes: [fresh, reused]", "lanes: []"),
    ("rate: ${rate}", "rate: 50"),
    ("rate: ${rate}", "rate: 50/d"),
    ("name: visits", "name: Visits"),
    ("mode: one}\n    at: 5s", "mode: one}\n    at: soon"),
    ("every: 12s..14s", "every: 12s-14s"),
    ("pod-kill: {selector", "pod-kil: {selector"),
    ("pod-kill: {selector: {labelSelectors: {app: web}}, mode: one}", "pod-kill: {mode: one}"),
    ("pod-pause: {selector", "pod-kill: {selector: {}}\n    pod-pause: {selector"),
    ("steps: [{get: /}]", "steps: []"),
    ("steps: [{get: /}]", "steps: {get: /}"),
    ("guards: {minReady: 1}", "guards: {minReady: -1}"),
    ("guards: {minReady: 1}", "guards: [minReady]"),
]
# And what both take.
RIGHT = [
    ("at: 5s", "at: [5s, 6s]"),
    ("lanes: [fresh, reused]", "lanes: fresh"),
    ("lanes: [fresh, reused]", "lanes:"),
    ("guards: {minReady: 1}", "guards:"),
    ("start: 0", "start: 0"),
    ("replicas: 2", "replicas: ${n}"),
    ("replicas: 2", 'replicas: "2"'),
    ("restart: {policy: always, delay: 1s}", "restart: {policy: '${when}', delay: 0}"),
    ("labels: {app: web}", "labels: {app: web, tier: 1, on: true}"),
    ("lanes: [fresh, reused]", "lanes: [fresh]\n      arrival: poisson"),
    ("name: visits\n", "name: visits\n    for: 1m\n"),
]


def example():
    return re.search(r"```yaml\n(.*?)```", (ROOT / "docs/SCENARIOS.md").read_text(), re.S).group(1)


def changed(pairs):
    base = example().replace("name: visits\n", "name: visits\n    start: 0\n").replace(
        "  rate: 50/s", "  n: 2\n  when: always\n  rate: 50/s", 1).replace("duration: 25s", "duration: 25s\n", 1)
    out = []
    for old, new in pairs:
        assert base.count(old) >= 1, old
        out.append(base.replace(old, new, 1))
    return base, out


def judge_both(pairs, good):
    base, texts = changed(pairs)
    by_schema = validate([base] + texts)
    assert not by_schema[0], by_schema[0]
    with Scratch() as s:
        for (old, new), text, errors in zip(pairs, texts, by_schema[1:]):
            p = chaosd("plan", s.write("s.yaml", text), "--seed", 1)
            if "for: 1m" not in new:  # longer than the duration: that is beyond a schema
                assert (p.returncode == 0) == good, (old, new, p.stdout[-300:], p.stderr)
            assert (not errors) == good, f"{old!r} -> {new!r}: schema says {errors[:2] or 'fine'}, chaosd says {p.stderr or 'fine'}"


def test_schema_refuses_what_chaosd_refuses():
    judge_both(WRONG, False)


def test_schema_takes_what_chaosd_takes():
    judge_both(RIGHT, True)


def test_reference_is_whole():
    """The example is right, each field of the schema stands in the reference, and its links lead somewhere."""
    text = (ROOT / "docs/SCENARIOS.md").read_text()
    with Scratch() as s:
        expect_exit(chaosd("plan", s.write("example.yaml", example()), "--seed", 1), 0)
    schema = json.loads((ROOT / FILES["schema"]).read_text())
    for name, shape in schema["definitions"].items():
        section = re.search(rf"^### {re.escape(name)}\n(.*?)(?=^### |\Z)", text, re.M | re.S)
        assert section, f"no section {name}"
        for key, value in shape.get("properties", {}).items():
            assert f"| `{key}` |" in section.group(1), f"{name}.{key} is missing"
            assert value.get("description", "").rstrip(")").endswith((".", "them", "characters")) or "(" in value["description"], (name, key)
    anchors = {h.lower().replace(".", "").replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
    for link in re.findall(r"\]\(#([^)]*)\)", text):
        assert link in anchors, f"dead link #{link}"
    for row in re.findall(r"^\|.*$", text, re.M):
        assert len(re.findall(r"(?<!\\)\|", row)) in (3, 6), row


def test_thresholds_of_the_reference_parse():
    text = (ROOT / "docs/SCENARIOS.md").read_text().split("## Thresholds")[1].split("## ")[0]
    rows = [r.replace("writes", "visits") for r in re.findall(r"^\| `([^`]+)` \|", text, re.M)]
    assert len(rows) >= 8
    whole = re.sub(r"expect:.*", "expect:\n" + "".join(f'  - "{r}"\n' for r in rows), example(), flags=re.S)
    with Scratch() as s:
        expect_exit(chaosd("plan", s.write("t.yaml", whole), "--seed", 1), 0)


def test_man_page_is_clean():
    if not shutil.which("man") or not shutil.which("groff"):
        raise Skip("(ci) not installed: man-db")
    p = subprocess.run(["man", "--warnings", "-l", ROOT / FILES["man"]], capture_output=True, text=True, errors="replace",
                       env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"})
    assert p.returncode == 0 and not p.stderr, p.stderr
    shown = re.sub(".\b", "", p.stdout)
    assert "--seed=N" in shown and "inconclusive" in shown and "__" not in shown.replace("CHAOSD_", ""), shown[:1000]
    for name in re.findall(r"^  (\w+) ", chaosd("--help").stdout, re.M):
        assert f"chaosd {name}" in shown, name


def complete(line, cwd):
    words = line.split(" ")
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _chaosd; [ ${#COMPREPLY[@]} = 0 ] || printf "%s\\n" "${COMPREPLY[@]}"')
    p = subprocess.run(["bash", "--norc", "-uc", script, "bash", ROOT / FILES["bash"], *words], capture_output=True, text=True, cwd=cwd)
    assert p.returncode == 0 and not p.stderr, (line, p.stderr)
    return p.stdout.split("\n")[:-1]


def test_bash_completes():
    with Scratch() as s:
        for name in ("a.yaml", "a b.yaml", "b.json", "c.txt", "runs/20260101T000000Z-x/summary.json"):
            (s.dir / name).parent.mkdir(parents=True, exist_ok=True)
            s.write(name, "")
        assert complete("chaosd re", s.dir) == ["report", "revert"]
        assert "run" in complete("chaosd ", s.dir) and not [w for w in complete("chaosd ", s.dir) if w.startswith("__")]
        assert complete("chaosd run --dry", s.dir) == ["--dry-run"]
        assert sorted(complete("chaosd run --yes ", s.dir)) == ["a b.yaml", "a.yaml", "b.json", "runs"]
        assert complete("chaosd run a.yaml --out r", s.dir) == ["runs"]
        assert complete("chaosd run a.yaml --out = r", s.dir) == ["runs"]
        assert complete("chaosd run a.yaml --seed ", s.dir) == []
        assert complete("chaosd report ", s.dir) == ["runs/20260101T000000Z-x"]
        assert complete("chaosd nonsense ", s.dir) == []


def test_every_option_is_in_man_and_completion():
    man, bash = ((ROOT / FILES[f]).read_text() for f in ("man", "bash"))
    commands = re.findall(r"^  (\w+) ", chaosd("--help").stdout, re.M)
    assert len(commands) >= 6
    for c in commands:
        block = re.search(rf"^    {c}\)\n.*?;;", bash, re.M | re.S).group(0)
        section = re.search(rf'^\.SS "chaosd {c}.*?(?=^\.S[SH])', man, re.M | re.S).group(0)
        for option in re.findall(r"--([a-z-]+)", chaosd(c, "--help").stdout.split("\n\n", 2)[2].replace("--help", "")):
            assert f"--{option} " in block, (c, option)
            assert "\\-\\-" + option.replace("-", "\\-") in section, (c, option)


tap.main()

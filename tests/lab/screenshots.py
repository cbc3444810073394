# SPDX-License-Identifier: Apache-2.0
"""Pictures of a report page. screenshots.py REPORT.html FOLDER: report.png for the README, and the same at both sizes and in both themes with --all."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from chromium import Browser, PROGRAM  # noqa: E402

SIZES = {"wide": (1280, 800), "narrow": (390, 844)}


def main(page, folder, every):
    if not PROGRAM:
        sys.exit("screenshots: needs chromium")
    page, folder = pathlib.Path(page).resolve(strict=True), pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with Browser() as b:
        b.prefer("light")
        b.size(1280, 800)
        b.open(page)  # the README's: verdict, figures and the whole time axis
        b.size(1280, int(b.eval("document.getElementById('timeline').getBoundingClientRect().bottom")) + 20)
        b.open(page)
        (folder / "report.png").write_bytes(b.picture())
        for name, (width, height) in SIZES.items() if every else ():
            for scheme in ("light", "dark"):
                b.prefer(scheme)
                b.size(width, height, mobile=name == "narrow")
                b.open(page)
                (folder / f"{name}-{scheme}.png").write_bytes(b.picture())
                (folder / f"{name}-{scheme}-full.png").write_bytes(b.picture(full=True))
                print(name, scheme, b.complaints(), b.requests()[1:])
    print(f"{folder / 'report.png'}: {(folder / 'report.png').stat().st_size // 1024} KB")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: screenshots.py REPORT.html FOLDER [--all]")
    main(sys.argv[1], sys.argv[2], "--all" in sys.argv)

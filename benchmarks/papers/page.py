"""docs/results/README.md: Ostinato beside the papers, from the fragments of the programs in this folder.

python benchmarks/papers/page.py
python benchmarks/papers/page.py --fragments runs/results-quick/papers --page runs/results-quick/README.md
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earlier import EARLIER, MISSING
from everything import REPRODUCTIONS
from fragments import FRAGMENTS, RESULTS, Fragment, Reproduction

from figures import table, wrapped
from ostinato.files import write_atomically

PAPERS = {
    "TREC": "TREC: Transient Redundancy Elimination-based Convolution (NeurIPS 2022)",
    "GR": "Generalized Reuse (ASPLOS 2025)",
    "DR": "Deep Reuse (2019)",
}
HEADING = ("table or figure", "command", "ours", "theirs", "the difference")
INTRODUCTION = """# Ostinato beside the papers

For every table and figure of the papers' evaluations: the command, what we find, what they print, and what the
difference is. `benchmarks/papers/page.py` writes this page from the fragments that the programs wrote; only the
papers' own numbers are typed in. [All result pages](RESULTSpages.md) are listed apart.

Read it with three things in mind. **Images**: ours are JPEG-recompressed CIFAR-10; where the section says that there
were a few hundred, two or three points are chance. **Scope**: the papers' accuracies are of clusters that a whole batch
shares; a device sees one image, so both are shown. **Time**: ours is modelled for the board (zero wait states), theirs
was measured on it.

Without options the programs take the whole test set, ten draws and both boards, and train; what is shown here ran with
the options in each section's command, most of them smaller. `benchmarks/papers/everything.py` runs them all, `make
results-quick DATA=dir` a reduced version of every table into runs/results-quick: 12 minutes on one core of the machine
below, beside other work (at 70f12bb)."""


def read(folder: Path) -> dict[str, list[Fragment]]:
    """Fragments by program."""
    found: dict[str, list[Fragment]] = {}
    for path in sorted(folder.glob("*.json")):
        fragment = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(fragment["name"], []).append(fragment)
    return found


def rows(paper: str, fragments: Mapping[str, list[Fragment]], results: str) -> list[list[str]]:
    """The first table's of one paper: measured, measured elsewhere, missing. `results` leads to the other pages."""
    told: list[list[str]] = []
    for made in (m for m in REPRODUCTIONS if m.paper == paper):
        what = f"{made.what}: {made.title}"
        command = f"`benchmarks/papers/{made.name}.py`"
        told += [
            [f"[{what}](#{anchor(made, f)})", command, made.ours(f), made.theirs, made.difference(f)]
            for f in fragments.get(made.name, [])
        ]
        absent = set(made.networks) - {f["network"] for f in fragments.get(made.name, [])}
        told += [[f"{what} ({name})", command, missing("not run yet"), made.theirs, ""] for name in sorted(absent)]
    for one in (e for e in EARLIER if e.paper == paper):
        what, command, path = f"{one.what}: {one.title}", f"`benchmarks/{one.program}.py`", RESULTS / f"{one.stem}.json"
        if path.exists():
            n: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            told.append([f"[{what}]({results}{one.stem}.md)", command, one.ours(n), one.theirs, one.difference(n)])
        else:
            told.append([what, command, missing("its page has not been written"), one.theirs, ""])
    told += [[f"{m.what}: {m.title}", "–", missing(m.why), "", ""] for m in MISSING if m.paper == paper]
    return told


def missing(why: str) -> str:
    return f"not yet reproduced: {why}"


def anchor(made: Reproduction, f: Fragment) -> str:
    """Of `details`' heading, as Markdown makes it."""
    words = f"{made.paper} {made.what} {f['network']}".lower().split()
    return "-".join("".join(c for c in word if c.isalnum() or c == "-") for word in words)


def details(made: Reproduction, f: Fragment, fragments: str) -> str:
    reduced = " Reduced (`--quick`): not for quoting." if f["quick"] else ""
    return f"""### {made.paper} {made.what}, {f["network"]}

{wrapped(made.section(f))}

{wrapped(made.difference(f) + reduced)}

* command: `{f["command"]}`
* commit: `{f["commit"]}`; seeds: {f["seeds"]}
* time: {f["seconds"]:,.0f} s; of the processor, without compilers: {f["cpu_seconds"]:,.0f} s
* machine: {f["machine"]}
* every number: [{made.name}-{f["network"]}.json]({fragments}{made.name}-{f["network"]}.json)"""


def text(fragments: Mapping[str, list[Fragment]], results: str, folder: str) -> str:
    """The page; `results` and `folder` lead from it to docs/results and to the fragments, each "" or ending in /."""
    parts = [INTRODUCTION.replace("RESULTS", results)]
    for paper, title in PAPERS.items():
        parts.append(f"## {title}\n\n{table(HEADING, rows(paper, fragments, results))}")
    parts.append("## In detail")
    parts += [details(made, f, folder) for made in REPRODUCTIONS for f in fragments.get(made.name, [])]
    return "\n\n".join(parts) + "\n"


def relative(target: Path, start: Path) -> str:
    """The way from one folder to another, as links have it."""
    way = os.path.relpath(target.resolve(), start.resolve())
    return "" if way == "." else f"{Path(way).as_posix()}/"


def write(folder: Path, path: Path) -> Path:
    """The page of a folder's fragments."""
    results, fragments = (relative(target, path.parent) for target in (RESULTS, folder))
    write_atomically(path, text(read(folder), results, fragments).encode())
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fragments", type=Path, default=FRAGMENTS)
    parser.add_argument("--page", type=Path, default=RESULTS / "README.md")
    options = parser.parse_args()
    print(write(options.fragments, options.page))


if __name__ == "__main__":
    main()

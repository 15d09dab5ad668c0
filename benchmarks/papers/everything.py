"""All programs of this folder one after the other, and the page of what they wrote.

    python benchmarks/papers/everything.py --data-root DIR --quick
    python benchmarks/papers/everything.py --data-root DIR

Fragments that are there already are kept, so that it may be stopped and called again; delete those to be made anew. The
page lies beside the fragments' folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import dr_table1
import dr_table2
import dr_table3
import dr_table4
import dr_table5
import gr_fig15
import gr_fig16
import gr_table3
import gr_table4
import gr_table5
import trec_fig7
import trec_table1
import trec_table2
import trec_table3
from fragments import FRAGMENTS, QUICK, Reproduction, add_options, reproduce

from ostinato.errors import OstinatoError

REPRODUCTIONS: tuple[Reproduction, ...] = (
    trec_table1.TABLE1, trec_table2.TABLE2, trec_table3.TABLE3, trec_fig7.FIG7,
    gr_table3.TABLE3, gr_table4.TABLE4, gr_table5.TABLE5, gr_fig15.FIG15, gr_fig16.FIG16,
    dr_table1.TABLE1, dr_table2.TABLE2, dr_table3.TABLE3, dr_table4.TABLE4, dr_table5.TABLE5,
)  # fmt: skip


def run_all(options: argparse.Namespace) -> Path:
    """The page's path."""
    import page  # which needs the list above

    folder = options.out or (QUICK / "papers" if options.quick else FRAGMENTS)
    jobs = [(made, network) for made in REPRODUCTIONS for network in _networks(made, options.quick)]
    for number, (made, network) in enumerate(jobs):
        start = time.monotonic()
        print(f"[{number + 1}/{len(jobs)}] {made.paper} {made.what}, {network}", file=sys.stderr, flush=True)
        if not (folder / f"{made.name}-{network}.json").exists():
            reproduce(made, network, options)
            print(f"    {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return page.write(folder, folder.parent / "README.md")


def _networks(made: Reproduction, quick: bool) -> Sequence[str]:
    return made.networks if not quick or made.quick_networks is None else made.quick_networks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    try:
        print(run_all(parser.parse_args()))
    except OstinatoError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()

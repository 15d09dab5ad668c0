"""Networks that are called deployable: do they fit, and do all their executions have the same bits on test images?

    python benchmarks/deployable.py cifarnet-cifar10 cifarnet-cifar10-tables --data-root DIR
    python benchmarks/deployable.py --data-root DIR --boards stm32f469i stm32f767zi

Every network (a name in `ostinato zoo` or the folder of a training; all of the zoo, if none is given) is deployed on
each board, and every layer of the integer executor, of the C on this computer, and of plain C and DSP code on the
simulated core is compared bit for bit on --images test images, with guards around every tensor; then the C classifies
the whole test set. Finished networks are kept in --out. Writes docs/results/deployable.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ostinato as ost
from figures import table
from named_data import dataset
from ostinato.errors import DoesNotFitError
from ostinato.files import write_atomically
from ostinato.models.zoo import checkpoint_path, entries
from ostinato.pipeline.networks import load_network
from ostinato.targets.boards import get_board
from provenance import RESULTS, provenance

KEPT = Path("runs") / "deployable"
HEADING = ("network", "board", "int8 top-1, %", "float top-1, %", "ms", "SRAM, KiB of", "flash, KiB of", "same bits")


def measured(network: str, board: str, root: Path, count: int) -> dict[str, Any]:
    """One line of the table; `problem` instead of figures where it does not fit."""
    model, meta = load_network(checkpoint_path(network))
    images = dataset(str(meta["dataset"]), root)
    size = get_board(board)
    made: dict[str, Any] = {"network": network, "board": board, "room": [size.sram_bytes, size.flash_bytes]}
    start = time.monotonic()
    try:
        firmware = ost.deploy(model, images, board)
    except DoesNotFitError as error:
        return {**made, "problem": str(error)}
    report = firmware.simulate()
    proof = firmware.verify(images.test.subset(min(count, len(images.test)), 0).images)
    return {
        **made, "ms": report.ms, "sram_bytes": report.sram_bytes, "flash_bytes": report.flash_bytes,
        "verified": proof.images, "layers": len(proof.layers), "executions": list(proof.executions),
        "int8_top1": firmware.evaluate(images.test), "top1": ost.evaluate(model, images.test).top1,
        "test_images": len(images.test), "seconds": time.monotonic() - start,
    }  # fmt: skip


def line(one: Mapping[str, Any]) -> list[str]:
    """Cells of one network on one board."""
    name = Path(one["network"]).name
    if "problem" in one:
        return [name, one["board"], "–", "–", "does not fit", "–", "–", "–"]
    sram, flash = (
        f"{one[key] / 1024:.0f} of {room / 1024:.0f}"
        for key, room in zip(("sram_bytes", "flash_bytes"), one["room"], strict=True)
    )
    proof = f"{one['verified']} images, {one['layers']} layers"
    return [name, one["board"], f"{100 * one['int8_top1']:.2f}", f"{100 * one['top1']:.2f}", f"{one['ms']:.1f}",
            sram, flash, proof]  # fmt: skip


def page(lines: list[dict[str, Any]], command: str) -> str:
    executions = next((", ".join(one["executions"]) for one in lines if "executions" in one), "")
    refused = "".join(f"* {Path(o['network']).name}: {o['problem']}\n" for o in lines if "problem" in o)
    told = f"\nWhat does not fit, in the words of `deploy`:\n\n{refused}" if refused else ""
    return f"""# Deployable networks

Every network fits its board (SRAM with the measured stack), and on the stated number of test images all of {executions}
have the same bits in every layer; a difference would have ended the program. Accuracies are of the whole test set, the
int8 one of the generated C on this computer. Modelled ms for one image, zero wait states.

{table(HEADING, [line(one) for one in lines])}
{told}
{provenance(command, "fixed in the program")}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="names in `ostinato zoo`, or folders of trainings; all of the zoo")
    parser.add_argument("--data-root", type=Path, required=True, help="folder with cifar10/ and tinyimagenet30/ in it")
    parser.add_argument("--boards", nargs="+", default=["stm32f469i"])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--out", type=Path, default=KEPT, help="folder of finished networks")
    options = parser.parse_args()
    networks = options.networks or list(entries())
    lines = []
    for network in networks:
        for board in options.boards:
            path = options.out / f"{Path(network).name}-{board}-{options.images}.json"
            if not path.exists():
                found = measured(network, board, options.data_root, options.images)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, json.dumps(found, indent=1).encode())
            lines.append(json.loads(path.read_text()))
            print(*line(lines[-1]), sep="  ", flush=True)
    given = " ".join([*(Path(n).name for n in options.networks), "--data-root DIR", "--boards", *options.boards])
    command = f"python benchmarks/deployable.py {given} --images {options.images}"
    write_atomically(RESULTS / "deployable.md", page(lines, command).encode())
    print(RESULTS / "deployable.md")


if __name__ == "__main__":
    main()

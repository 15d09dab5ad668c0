"""Layers touch their own memory only; one that does not is named, with the function that did it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from random_networks import NetworkBuilder

from ostinato.errors import SimulationError
from ostinato.firmware import Firmware, deploy_graph
from ostinato.quant.pooled_op import QPooled


def network(kind: str) -> NetworkBuilder:
    """With a pooling that is a layer of its own (`conventional`), or that the convolution before it does."""
    net = NetworkBuilder((9, 9, 3), seed=5)
    net.conv("stem", 8).pool("pool", stride=(1, 1) if kind == "conventional" else (2, 2))
    if kind == "image":
        net.reuse_image("body.0", 6, length=8, hashes=3)
    elif kind == "compiled":
        net.reuse_compiled("body.0", 16, length=8, hashes=4, padding=(1, 1))
    else:
        net.conv("body.0", 6, (3, 2), stride=(2, 1))
    return net.linear("head", 5)


@pytest.mark.parametrize("kind", ["conventional", "image", "compiled"])
@pytest.mark.parametrize("plain_c", [False, True])
def test_every_layer_stays_within_its_memory(kind: str, plain_c: bool) -> None:
    net = network(kind)
    firmware = deploy_graph(net.graph("net"), net.images(2), verify_images=0)
    assert isinstance(firmware.graph.ops[0], QPooled) == (kind != "conventional")
    free = firmware.simulate(firmware.samples, plain_c)
    guarded = firmware.simulate(firmware.samples, plain_c, guards=True)
    assert (guarded.logits == free.logits).all()
    assert (guarded.cycles, guarded.instructions) == (free.cycles, free.instructions)


def broken(folder: Path, old: str, new: str, name: str = "model.c") -> Firmware:
    """The firmware with one line of its generated C changed."""
    net = network("conventional")
    deploy_graph(net.graph("net"), net.images(1), out_dir=folder, verify_images=0)
    source = folder / name
    text, count = re.subn(old, new, source.read_text(), count=1)
    assert count == 1
    source.write_text(text)
    return Firmware.load(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (  # its output begins 4 bytes too late: behind it is its input, in whose place the planner puts it
            r"(ost_max_pool_s8\(&pool_params, &scratch, .*, memory \+ \d+)\)",
            r"\1 + 4)",
            r"fault in \w*pool\w* \(layer pool\) at 0x0.*: write of .* only be read here \(the input 'stem'\)",
        ),
        (
            r"(ost_conv_s8_dense\(&body_0_params, &scratch, .*, memory \+ \d+)\)",
            r"\1 + 4)",
            r"fault in ost_conv\w+ \(layer body\.0\) at 0x0.*: write of \d bytes .* past the end of the output",
        ),
        (  # its input begins 4 bytes too late
            r"(ost_fully_connected_s8\(&head_params, &scratch, memory \+ \d+)",
            r"\1 + 4",
            r"fault in ost_fully\w+ \(layer head\) at 0x0.*: read of \d bytes .* past the end of the input",
        ),
        (  # less scratch than it needs
            r"(/\* stem: [^{]*scratch = \(ost_scratch\)\{memory \+ \d+)(, \d+\})",
            r"\1 + 40\2",
            r"fault in ost_conv\w+ \(layer stem\) at 0x0.*: write of \d bytes .* past the end of its scratch",
        ),
        (  # another layer's weights
            r"\.weights = body_0_weights",
            ".weights = stem_weights",
            r"fault in \w+ \(layer body\.0\) at 0x0.*: read of \d bytes .* guarded: its last byte is",
        ),
        (  # it would write its input
            r"(ost_conv_s8_dense\(&body_0_params, &scratch, (memory \+ \d+), )memory \+ \d+\)",
            r"\1\2)",
            r"fault in ost_conv\w+ \(layer body\.0\) at 0x0.*: it may only be read here \(the input",
        ),
    ],
)
def test_a_layer_that_leaves_its_memory_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    firmware = broken(tmp_path / "fw", old, new)
    with pytest.raises(SimulationError, match=said):
        firmware.simulate(guards=True)


def test_faults_name_the_layer_without_guards(tmp_path: Path) -> None:
    old = r"(ost_max_pool_s8\(&pool_params, &scratch, .*, )memory \+ \d+\)"
    firmware = broken(tmp_path / "fw", old, r"\1(int8_t *)0x30000000)")
    with pytest.raises(SimulationError, match=r"fault in \w*pool\w* \(layer pool\) at .*where there is no memory"):
        firmware.simulate()


def test_two_passes_over_the_same_image_cost_the_same() -> None:
    net = network("compiled")
    firmware = deploy_graph(net.graph("net"), net.images(1), verify_images=0)
    for wait_states in (0, 5):
        reports = [firmware.simulate(flash_wait_states=wait_states) for _ in range(2)]
        assert reports[0].layers == reports[1].layers
        assert reports[0].cycles == reports[1].cycles
        assert ("zero wait states" if wait_states == 0 else "5 flash wait states") in reports[0].cycle_model
    slow = firmware.simulate(flash_wait_states=5)
    assert slow.cycles > firmware.simulate().cycles
    assert slow.instructions == firmware.simulate().instructions

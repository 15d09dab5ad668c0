"""Which of a layer's kernels: the fastest set by modelled cycles that fits flash and SRAM, by integer programming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array


@dataclass(frozen=True)
class Option:
    """A kernel that a layer could have.

    Attributes:
        name: of the variant.
        kernel: the C function.
        cycles: modelled on the board's core without wait states; None where there was nothing to choose.
        flash_bytes: constants.
        scratch_bytes: in the arena, room for what is `staged` among it.
        code: functions that it runs → bytes; layers share them.
        external: names of constants in external flash.
        external_bytes: of them; `flash_bytes` is the rest.
        penalty: estimated cycles of reading them, where nothing was simulated.
        staged: those are copied into the arena before each run of the layer, and read there.
    """

    name: str
    kernel: str
    cycles: int | None
    flash_bytes: int
    scratch_bytes: int
    code: Mapping[str, int] = field(default_factory=dict, repr=False)
    external: tuple[str, ...] = ()
    external_bytes: int = 0
    penalty: float = 0.0
    staged: bool = False

    @property
    def key(self) -> tuple[str, tuple[str, ...], bool]:
        """What tells it from other options of its layer."""
        return self.name, self.external, self.staged

    @property
    def text(self) -> str:
        """The variant, and what of it is outside."""
        if not self.external:
            return self.name
        copied = ", copied to SRAM first" if self.staged else ""
        return f"{self.name} with {' and '.join(self.external)} in external flash{copied}"


@dataclass(frozen=True)
class Conventional:
    """The conventional kernel that would be fastest in a reuse layer's place.

    Attributes:
        kernel: the C function; of a layer with its pooling, both.
        cycles: modelled like `Option.cycles`.
    """

    kernel: str
    cycles: int


@dataclass(frozen=True)
class Choice:
    """What was chosen for a layer, from what, and what stands beside it if it is a reuse layer."""

    layer: str
    chosen: str
    options: tuple[Option, ...]
    external: tuple[str, ...] = ()
    staged: bool = False
    conventional: Conventional | None = None

    @property
    def key(self) -> tuple[str, tuple[str, ...], bool]:
        """Of the option that was chosen."""
        return self.chosen, self.external, self.staged

    @property
    def own(self) -> Option:
        """What was chosen."""
        return next(o for o in self.options if o.key == self.key)

    @property
    def text(self) -> str:
        """`dense: 4,732,151 cycles (cmsis 11,807,908)`; empty where nothing was timed.

        Of a reuse layer it ends in `; best conventional: conv_s8_dense 4,732,151`.
        """
        own = self.own
        if own.cycles is None:
            return ""
        rest = ", ".join(f"{o.text} {o.cycles:,}" for o in self.options if o is not own)
        text = f"{own.text}: {own.cycles:,} cycles" + (f" ({rest})" if rest else "")
        beside = self.conventional
        return f"{text}; best conventional: {beside.kernel} {beside.cycles:,}" if beside else text

    @property
    def warning(self) -> str:
        """A sentence where a reuse layer takes as many cycles as a conventional kernel would, or more; else empty."""
        own, beside = self.own, self.conventional
        if beside is None or own.cycles is None or own.cycles < beside.cycles:
            return ""
        return (
            f"Layer '{self.layer}': reuse takes {own.cycles:,} modelled cycles, the best conventional kernel "
            f"({beside.kernel}) {beside.cycles:,}; leave it conventional, or {_remedy(own.kernel)}."
        )


def fastest_that_fit(
    options: Sequence[Sequence[Option]],
    costs: Sequence[Sequence[float]],
    flash_bytes: int,
    scratch_bytes: Sequence[int],
    external_bytes: int = 0,
) -> list[int] | None:
    """The index of an option for each layer: least cost in sum, within flash and each layer's room for scratch.

    Args:
        options: of each layer.
        costs: of each option.
        flash_bytes: for the constants of all layers and the code of all functions that any of them runs.
        scratch_bytes: room in the arena while each layer runs.
        external_bytes: room in external flash.

    Returns:
        None if no choice fits.

    Binary variables: one for each option, one for each function; an option needs its functions.
    """
    pairs = [(i, j) for i, layer in enumerate(options) for j in range(len(layer))]
    sizes: dict[str, int] = {}
    for i, j in pairs:
        sizes.update(options[i][j].code)
    functions = list(sizes)
    at = {name: len(pairs) + n for n, name in enumerate(functions)}
    variables = len(pairs) + len(functions)
    cost = np.zeros(variables)
    cost[: len(pairs)] = [costs[i][j] for i, j in pairs]
    upper = np.ones(variables)
    upper[: len(pairs)] = [options[i][j].scratch_bytes <= scratch_bytes[i] for i, j in pairs]
    one = np.array([[float(i == layer) for i, _ in pairs] + [0.0] * len(functions) for layer in range(len(options))])
    flash = np.array([options[i][j].flash_bytes for i, j in pairs] + [sizes[name] for name in functions], float)
    outside = np.array([options[i][j].external_bytes for i, j in pairs] + [0] * len(functions), float)
    needs = [(n, at[name]) for n, (i, j) in enumerate(pairs) for name in options[i][j].code]
    rows = np.repeat(np.arange(len(needs)), 2)
    uses = csr_array(
        (np.tile([1.0, -1.0], len(needs)), (rows, np.array(needs, int).ravel())), shape=(len(needs), variables)
    )
    constraints = [LinearConstraint(one, 1, 1), LinearConstraint(flash[None], -np.inf, flash_bytes)]
    if outside.any():
        constraints.append(LinearConstraint(outside[None], -np.inf, external_bytes))
    if needs:
        constraints.append(LinearConstraint(uses, -np.inf, 0))
    solution = milp(cost, integrality=np.ones(variables), bounds=Bounds(0, upper), constraints=constraints)
    if solution.x is None:
        return None
    taken = [pair for pair, value in zip(pairs, solution.x, strict=False) if value > 0.5]
    return [j for _, j in taken]


def _remedy(kernel: str) -> str:
    """What makes such a reuse layer faster."""
    if kernel.startswith("stem"):
        return "use fewer groups"
    if kernel.startswith(("reuse_image", "reuse_horizontal")):
        return "use fewer hashes (a smaller H) or scope 'compiled'"
    return "use longer slices (a larger L)"

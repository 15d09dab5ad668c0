"""Reading an ELF file: what to load where, its functions and variables, and how much memory it takes."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from ostinato.errors import SimulationError
from ostinato.targets.codemap import CodeMap
from ostinato.targets.external_flash import SECTION as EXTERNAL


@dataclass(frozen=True)
class Symbol:
    """A name in the ELF file: address (without the Thumb bit), size in bytes, and section (`.text`, `.bss`, ...)."""

    name: str
    address: int
    size: int
    section: str
    is_function: bool


@dataclass(frozen=True)
class Segment:
    """Bytes to be loaded at a physical address."""

    address: int
    data: bytes


@dataclass(frozen=True)
class SizeReport:
    """What a firmware image takes.

    Attributes:
        code_bytes: vectors and code, in flash.
        constant_bytes: read-only data (weights, tables) and unwind tables, in flash.
        data_bytes: initialised variables: counted in flash (their image) and in SRAM.
        zeroed_bytes: variables that start at zero, in SRAM.
        by_symbol: symbol name to (section, bytes), largest first.
        external_bytes: constants in external flash, which are in none of the others.
    """

    code_bytes: int
    constant_bytes: int
    data_bytes: int
    zeroed_bytes: int
    by_symbol: Mapping[str, tuple[str, int]]
    external_bytes: int = 0

    @property
    def flash_bytes(self) -> int:
        """Flash: code, constants, and the image of initialised variables."""
        return self.code_bytes + self.constant_bytes + self.data_bytes

    @property
    def sram_bytes(self) -> int:
        """Static SRAM: initialised and zeroed variables. The stack is measured by a run, see `Profile.stack_bytes`."""
        return self.data_bytes + self.zeroed_bytes


class Elf:
    """The parts of an ARM ELF file that loading, counting and reporting need.

    Attributes:
        symbols: every named function and variable, and the linker script's own symbols.
        functions: functions by ascending address.
        segments: what a programmer would write to flash.
        code: where there is code: in flash, and in the RAM that start-up copies hot code to.

    Raises:
        SimulationError: the file is missing, is not an ARM ELF file, or has no symbols.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as stream:
                self._read(ELFFile(stream))
        except OSError as error:
            raise SimulationError(f"cannot read the firmware {self.path}: {error.strerror}") from error
        except ELFError as error:
            raise SimulationError(f"{self.path} is not a firmware image (ELF file): {error}") from error

    def _read(self, elf: ELFFile) -> None:
        if elf["e_machine"] != "EM_ARM":
            raise SimulationError(f"{self.path} is not for ARM (machine {elf['e_machine']})")
        table = elf.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            raise SimulationError(f"{self.path} has no symbols; it must not be stripped")
        sections = list(elf.iter_sections())
        self.segments = [
            Segment(s["p_paddr"], s.data()) for s in elf.iter_segments() if s["p_type"] == "PT_LOAD" and s["p_filesz"]
        ]
        self.symbols: dict[str, Symbol] = {}
        self._mapping: dict[int, str] = {}
        functions: dict[int, Symbol] = {}
        for entry in table.iter_symbols():
            kind, index = entry["st_info"]["type"], entry["st_shndx"]
            if not entry.name or kind == "STT_FILE" or index == "SHN_UNDEF":
                continue
            if entry.name.startswith("$"):
                self._mapping[entry["st_value"]] = entry.name[1]
                continue
            section = sections[index].name if isinstance(index, int) else ""
            is_function = kind == "STT_FUNC"
            address = entry["st_value"] & ~1 if is_function else entry["st_value"]
            symbol = Symbol(entry.name, address, entry["st_size"], section, is_function)
            self.symbols[entry.name] = symbol
            # Of several names for one address (aliases) the last one with a size wins.
            if is_function and (address not in functions or symbol.size):
                functions[address] = symbol
        self.functions = [functions[address] for address in sorted(functions)]
        self._starts = [function.address for function in self.functions]
        executable = [s for s in sections if s["sh_flags"] & SH_FLAGS.SHF_EXECINSTR and s["sh_size"]]
        if not executable:
            raise SimulationError(f"{self.path} contains no code")
        self._code_sections = [(s["sh_addr"], s.data()) for s in executable]
        self.code = CodeMap([(start, start + len(data)) for start, data in self._code_sections])
        self.size = _size_report(sections, self.symbols)

    def function_at(self, address: int) -> str:
        """Name of the function that contains `address`, or the address itself where there is none."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index >= 0 and self.code.contains(address):
            return self.functions[index].name
        return f"<{address:#010x}>"

    def code_bytes(self, address: int, size: int) -> bytes:
        """Code at the address where it runs; fewer bytes where its section ends."""
        for start, data in self._code_sections:
            if start <= address < start + len(data):
                return data[address - start : address - start + size]
        return b""

    def thumb_ranges(self) -> list[tuple[int, int]]:
        """(first address, end) of the instructions, without the data between them, ascending.

        From the mapping symbols $t and $d of the ARM ELF specification (IHI 0044, section 5.5.5).
        """
        found = []
        for begin, end in self.code.ranges:
            marks = sorted(address for address in self._mapping if begin <= address < end)
            if not marks:
                found.append((begin, end))
                continue
            pairs = zip(marks, [*marks[1:], end], strict=True)
            found += [pair for pair in pairs if self._mapping[pair[0]] == "t"]
        return found

    def symbol(self, name: str) -> Symbol:
        """The symbol called `name`.

        Raises:
            SimulationError: there is none.
        """
        try:
            return self.symbols[name]
        except KeyError:
            raise SimulationError(
                f"the firmware {self.path.name} has no symbol {name!r} (static and removed names do not appear)"
            ) from None


def _size_report(sections: Sequence[Any], symbols: Mapping[str, Symbol]) -> SizeReport:
    sizes = {"code": 0, "constant": 0, "data": 0, "zeroed": 0, "external": 0}
    for section in sections:
        flags = section["sh_flags"]
        if not flags & SH_FLAGS.SHF_ALLOC:
            continue
        if section["sh_type"] == "SHT_NOBITS":
            kind = "zeroed"
        elif section.name == EXTERNAL:
            kind = "external"
        elif flags & SH_FLAGS.SHF_EXECINSTR or section.name == ".vectors":
            kind = "code"
        else:
            kind = "data" if flags & SH_FLAGS.SHF_WRITE else "constant"
        sizes[kind] += section["sh_size"]
    sized = sorted((s for s in symbols.values() if s.size), key=lambda s: (-s.size, s.name))
    return SizeReport(
        code_bytes=sizes["code"],
        constant_bytes=sizes["constant"],
        data_bytes=sizes["data"],
        zeroed_bytes=sizes["zeroed"],
        by_symbol={s.name: (s.section, s.size) for s in sized},
        external_bytes=sizes["external"],
    )

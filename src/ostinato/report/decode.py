"""Dataclasses that check themselves against their annotations, and read themselves from JSON without guessing.

Every mistake is named by the path of the offending field: `rows[2].cycles: expected int, found str`.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

from ostinato.errors import OstinatoError


class ReportError(OstinatoError, ValueError):
    """A report has a missing, unknown, mistyped or impossible field, or its file cannot be read.

    Attributes:
        problem: what is wrong, without the place.
        path: the field, as in `rows[2].cycles`; empty where the whole is meant.
    """

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.problem = problem
        self.path = path

    def under(self, prefix: str) -> ReportError:
        """The same error, its path seen from one level further out."""
        return ReportError(self.problem, _join(prefix, self.path))


@dataclass(frozen=True, slots=True)
class About:
    """What a field means (the documentation is made from it) and which numbers it may hold."""

    text: str
    minimum: float = -math.inf
    maximum: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of the report's dataclasses: frozen, and valid once constructed.

    Fields are annotated `Annotated[type, About(...)]`, where `type` is bool, int, float, str, another record, a tuple
    of one of these, or one of these `| None`. An int is taken for a float, nothing else is converted.

    Raises:
        ReportError: on construction, if a field has another type or a number outside its limits.
    """

    _noun: ClassVar[str] = "an object"
    _written: ClassVar[tuple[str, ...]] = ()
    """Fields with a default in Python which nevertheless must not be missing in a file."""

    def __post_init__(self) -> None:
        for name, hint in hints(type(self)).items():
            object.__setattr__(self, name, _checked(getattr(self, name), hint, name))
        self._check()

    def _check(self) -> None:
        """What has to hold between fields; records that have such rules override it."""

    @classmethod
    def from_dict(cls, value: Any) -> Self:
        """The record that JSON's dicts, lists and scalars describe.

        Raises:
            ReportError: for a missing, unknown, mistyped or impossible field.
        """
        if not isinstance(value, Mapping):
            raise ReportError(f"expected {cls._noun}, found {_kind(value)}")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name in value:
            if name not in fields:
                raise ReportError(f"unknown field; known: {', '.join(fields)}", _join("", str(name)))
        for name in fields:
            if name not in value and cls.requires(name):
                raise ReportError("missing field", name)
        return cls(**value)

    @classmethod
    def requires(cls, name: str) -> bool:
        """Whether a file must have this field."""
        field = cls.__dataclass_fields__[name]
        return field.default is dataclasses.MISSING or name in cls._written

    def to_dict(self) -> dict[str, Any]:
        """All fields, nested records included, as dicts, tuples and scalars; `from_dict` reads them back."""
        return dataclasses.asdict(self)


def hints(record: type[Record]) -> dict[str, Any]:
    """Each field's annotation, `About` included."""
    found = get_type_hints(record, include_extras=True)
    return {field.name: found[field.name] for field in dataclasses.fields(record)}


def parts(hint: Any) -> tuple[Any, About, bool]:
    """(bare type, its `About`, whether null is allowed) of a field's annotation."""
    about = About("")
    if get_origin(hint) is Annotated:
        hint, about = get_args(hint)[:2]
    optional = get_origin(hint) in (Union, types.UnionType)
    if optional:
        (hint,) = (choice for choice in get_args(hint) if choice is not types.NoneType)
    return hint, about, optional


def _checked(value: Any, hint: Any, path: str) -> Any:
    kind, about, optional = parts(hint)
    if value is None and optional:
        return None
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise ReportError(f"expected a list, found {_kind(value)}", path)
        item = get_args(kind)[0]
        return tuple(_checked(entry, item, f"{path}[{index}]") for index, entry in enumerate(value))
    if isinstance(kind, type) and issubclass(kind, Record):
        if isinstance(value, kind):
            return value
        try:
            return kind.from_dict(value)
        except ReportError as error:
            raise error.under(path) from None
    return _scalar(value, kind, about, path)


def _scalar(value: Any, kind: type, about: About, path: str) -> bool | int | float | str:
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ReportError("is not valid Unicode (it has an unpaired surrogate)", path)
        return value
    # The numeric towers' abstract classes let NumPy's scalars in; bool is an Integral, but no number here.
    number = {int: numbers.Integral, float: numbers.Real}.get(kind)
    if number is None or isinstance(value, bool) or not isinstance(value, number):
        raise ReportError(f"expected {kind.__name__}, found {_kind(value)}", path)
    try:
        exact: int | float = kind(value)
    except OverflowError:
        raise ReportError("the number is too large", path) from None
    if not math.isfinite(exact):
        raise ReportError(f"expected a finite number, found {exact}", path)
    if not about.minimum <= exact <= about.maximum:
        raise ReportError(f"expected a number {limits(about)}, found {exact:g}", path)
    return exact


def limits(about: About) -> str:
    """The numbers that are allowed, in words; empty if all are."""
    if about.maximum < math.inf:
        return f"from {about.minimum:g} to {about.maximum:g}"
    return f"of at least {about.minimum:g}" if about.minimum > -math.inf else ""


def _kind(value: Any) -> str:
    """A value's type in JSON's words where Python's would puzzle."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, list | tuple) else type(value).__name__


def _join(prefix: str, path: str) -> str:
    return f"{prefix}.{path}" if prefix and path else prefix or path

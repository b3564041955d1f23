"""The stock file: CSV, ``sku,on_hand,reorder_point[,components]``, components as ``sku:number;sku:number``."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra.errors import InvalidInputError
from services.goods import StockRow

_COLUMNS = ("sku", "on_hand", "reorder_point", "components")
_LARGEST = 2**31 - 1


def read_stock_file(path: Path) -> tuple[StockRow, ...]:
    """The rows of the file at ``path``; raises :class:`InvalidInputError`, see :func:`parse_stock`."""
    try:
        return parse_stock(path.read_text(encoding="utf-8-sig").splitlines(), str(path))
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: is not UTF-8 (byte {error.start})") from error


def load_id_of(path: Path) -> str:
    """The load id that a file has when none is given: its content's digest. The same file is one load."""
    return f"file-{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}"


def parse_stock(lines: Iterable[str], name: str) -> tuple[StockRow, ...]:
    """The rows in ``lines`` of the file called ``name``; empty lines are passed over.

    The first line may name the columns, then in any order; without it they stand in the order above. Raises
    :class:`InvalidInputError` with line, field and reason for the first row that does not hold what it must,
    for a sku that stands twice, and for a file without rows.
    """
    rows: dict[str, StockRow] = {}
    first_line: dict[str, int] = {}
    for number, fields in _records(lines, name):
        row = _row(fields, f"{name}:{number}")
        if row.sku in rows:
            raise InvalidInputError(
                f"{name}:{number}: sku: {row.sku} stands on line {first_line[row.sku]} already"
            )
        rows[row.sku] = row
        first_line[row.sku] = number
    if not rows:
        raise InvalidInputError(f"{name}: holds no rows; expected {','.join(_COLUMNS[:3])}[,components]")
    return tuple(rows.values())


def _records(lines: Iterable[str], name: str) -> Iterator[tuple[int, dict[str, str]]]:
    columns: tuple[str, ...] | None = None
    reader = csv.reader(lines, strict=True)
    try:
        for values in reader:
            cells = [value.strip() for value in values]
            if not any(cells):
                continue
            if columns is None:
                columns = _header(cells, f"{name}:{reader.line_num}") or _COLUMNS
                if columns is not _COLUMNS:
                    continue
            if len(cells) > len(columns) or len(cells) < min(len(columns), 3):
                raise InvalidInputError(
                    f"{name}:{reader.line_num}: {len(cells)} fields, expected {','.join(columns)}"
                )
            yield reader.line_num, dict(zip(columns, cells, strict=False))
    except csv.Error as error:
        raise InvalidInputError(f"{name}:{reader.line_num}: is not CSV: {error}") from error


def _header(cells: list[str], place: str) -> tuple[str, ...] | None:
    """The columns that a first line names, or ``None`` where it is a row already."""
    if "sku" not in cells:
        return None
    wrong = [
        *(f"unknown column {cell!r}" for cell in cells if cell not in _COLUMNS),
        *(f"no column {column}" for column in _COLUMNS[:3] if column not in cells),
        *(f"column {cell} twice" for cell in cells if cells.count(cell) > 1),
    ]
    if wrong:
        raise InvalidInputError(f"{place}: {wrong[0]}; expected {','.join(_COLUMNS[:3])}[,components]")
    return tuple(cells)


def _row(fields: dict[str, str], place: str) -> StockRow:
    return StockRow(
        sku=_name(fields["sku"], place, "sku"),
        on_hand=_number(fields["on_hand"], place, "on_hand", 0),
        reorder_point=_number(fields["reorder_point"], place, "reorder_point", 0),
        components=_components(fields.get("components", ""), place),
    )


def _components(text: str, place: str) -> tuple[tuple[str, int], ...]:
    components: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        sku, separator, quantity = part.rpartition(":")
        if not separator:
            raise InvalidInputError(f"{place}: components: {part!r} is not sku:quantity")
        sku = _name(sku.strip(), place, "components")
        if sku in components:
            raise InvalidInputError(f"{place}: components: {sku} stands twice")
        components[sku] = _number(quantity.strip(), place, f"components: {sku}", 1)
    return tuple(components.items())


def _name(text: str, place: str, field: str) -> str:
    if not text or len(text) > 200 or not text.isprintable():
        raise InvalidInputError(f"{place}: {field}: must be a name of 1 to 200 printable characters")
    return text


def _number(text: str, place: str, field: str, least: int) -> int:
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20):
        raise InvalidInputError(f"{place}: {field}: {text!r} is not a whole number")
    if not least <= int(text) <= _LARGEST:
        raise InvalidInputError(f"{place}: {field}: must be from {least} to {_LARGEST}, is {text}")
    return int(text)

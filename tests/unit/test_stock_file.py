"""The stock file: what is read, and what is refused, with line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import InvalidInputError
from services.goods import StockRow
from services.ims.stock_file import load_id_of, parse_stock, read_stock_file


def test_rows_are_read_with_and_without_a_header() -> None:
    """The header may put the columns in any order; components are pairs."""
    rows = (StockRow("LEG", 400, 50), StockRow("DESK", 0, 0, (("LEG", 4), ("TOP", 1))))
    assert parse_stock(["LEG,400,50", "", "DESK,0,0,LEG:4;TOP:1"], "f") == rows
    header = "components,sku,reorder_point,on_hand"
    assert parse_stock([header, ",LEG,50,400", ' LEG:4 ; TOP:1 , DESK ,0,"0"'], "f") == rows
    assert parse_stock(["sku,on_hand,reorder_point", "A,1,2"], "f") == (StockRow("A", 1, 2),)
    assert parse_stock(["a:b,1,0", "K,0,0,a:b:3"], "f")[1].components == (("a:b", 3),)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["A,-1,0"], "f:1: on_hand: must be from 0 to 2147483647, is -1"),
        (["A,1,0", "B,many,0"], "f:2: on_hand: 'many' is not a whole number"),
        (["A,1.5,0"], "f:1: on_hand: '1.5' is not a whole number"),
        (["A,1,9999999999"], "f:1: reorder_point: must be from 0"),
        (["A,1"], "f:1: 2 fields, expected"),
        (["A,1,0,B:1,extra"], "f:1: 5 fields, expected"),
        ([",1,0"], "f:1: sku: must be a name"),
        (["A,1,0", "A,1,0"], "f:2: sku: A stands on line 1 already"),
        (["A,1,0,B"], "f:1: components: 'B' is not sku:quantity"),
        (["A,1,0,B:0"], "f:1: components: B: must be from 1"),
        (["A,1,0,B:1;B:2"], "f:1: components: B stands twice"),
        (["sku,on_hand"], "f:1: no column reorder_point"),
        (["sku,on_hand,reorder_point,colour"], "f:1: unknown column 'colour'"),
        (['A,"1,0'], "is not CSV"),
        ([], "f: holds no rows"),
        (["sku,on_hand,reorder_point"], "f: holds no rows"),
    ],
)
def test_what_is_no_stock_is_refused(lines: list[str], message: str) -> None:
    """The message names line, field and reason."""
    with pytest.raises(InvalidInputError) as refused:
        parse_stock(lines, "f")
    assert message in str(refused.value)


def test_the_same_content_is_the_same_load(tmp_path: Path) -> None:
    """The load id of a file depends on its content, not on its name."""
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("A,1,0\n")
    other.write_text("A,1,0\n")
    assert load_id_of(one) == load_id_of(other)
    other.write_text("A,2,0\n")
    assert load_id_of(one) != load_id_of(other)
    other.write_bytes(b"A,\xff,0")
    for path, reason in ((tmp_path / "nothing", "cannot be read"), (other, "is not UTF-8")):
        with pytest.raises(InvalidInputError, match=reason):
            read_stock_file(path)

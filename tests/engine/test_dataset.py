"""The index of a data folder: splits, order, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_rwkvseg.engine.dataset import DatasetError, read_index


def write_index(folder: Path, text: str) -> Path:
    (folder / "index.csv").write_text(text, encoding="utf-8")
    return folder


TWO = "name,image,mask,split,group\nb,images/b.png,masks/b.png,train,1\na,i/a,m/a,val,2\n"


def test_records_keep_their_order_and_resolve_their_paths(tmp_path: Path) -> None:
    first, second = read_index(write_index(tmp_path, TWO))
    assert (first.name, second.name) == ("b", "a")
    assert first.image == tmp_path / "images" / "b.png"
    assert second.mask == tmp_path / "m" / "a"


def test_only_the_wanted_split_is_returned(tmp_path: Path) -> None:
    assert [r.name for r in read_index(write_index(tmp_path, TWO), "val")] == ["a"]


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        (TWO, "test", 'no split "test". Splits in it: train, val'),
        ("name,image,mask,split\n", "val", 'no split "val". Splits in it: none'),
        ("name,image\nx,y\n", None, "lacks the columns mask, split"),
        (TWO + "c,i/c\n", None, "line 4, lacks entries"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, text: str, split: str | None, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_index(write_index(tmp_path, text), split)


@pytest.mark.parametrize("more", [b'"c,' + b"x" * 140_000, b"c\xff,i/c,m/c,val\n"])
def test_what_is_no_table_is_refused(tmp_path: Path, more: bytes) -> None:
    (tmp_path / "index.csv").write_bytes(TWO.encode() + more)
    with pytest.raises(DatasetError, match=r"index\.csv is no table .* Save it as CSV in UTF-8"):
        read_index(tmp_path)


def test_a_mark_before_the_text_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text(TWO, encoding="utf-8-sig")
    assert [record.name for record in read_index(tmp_path)] == ["b", "a"]


def test_a_folder_without_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no index\.csv"):
        read_index(tmp_path)

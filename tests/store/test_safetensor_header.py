import os

import pytest

from napari_rwkvseg.store import safetensor_header
from napari_rwkvseg.store.refusal import Refusal
from napari_rwkvseg.store.safetensor_header import (
    TensorEntry,
    parse_header,
    read_header,
    read_whole,
)
from tests.store.model_builders import assemble


def entry(begin, end, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def parse(header, data=b""):
    raw = assemble(header, data)
    return parse_header(raw, len(raw))


def refuse(header, data=b""):
    with pytest.raises(Refusal) as caught:
        parse(header, data)
    return caught.value.reason


def test_tensors_come_in_the_order_of_names_with_their_places():
    found = parse({"b": entry(0, 4), "a": entry(4, 28, (2, 3))}, bytes(28))
    assert found.tensors == (
        TensorEntry("a", "F32", (2, 3), 4, 28),
        TensorEntry("b", "F32", (1,), 0, 4),
    )
    assert found.data_start + 28 == found.file_bytes


@pytest.mark.parametrize(("dtype", "size"), [("F32", 4), ("F16", 2), ("I64", 8)])
def test_types_have_their_sizes(dtype, size):
    assert parse({"a": entry(0, 3 * size, (3,), dtype)}, bytes(3 * size)).tensors[0].dtype == dtype


def test_a_scalar_is_one_item():
    assert parse({"a": entry(0, 8, (), "I64")}, bytes(8)).tensors[0].shape == ()


def test_metadata_are_kept_apart():
    assert parse({"__metadata__": {"k": "v"}}).metadata == {"k": "v"}


def test_equal_keys_are_refused():
    assert refuse(b'{"a":1,"a":2}') == "names an entry twice"
    assert refuse(b'{"__metadata__":{"x":"1","x":"2"}}') == "names an entry twice"


@pytest.mark.parametrize(
    "wrong",
    [
        {"dtype": "F32", "shape": [1]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "more": 1},
        [],
        None,
        entry(0, 4, dtype="F64"),
        entry(0, 4) | {"dtype": 3},
        entry(0, 4) | {"dtype": ["F32"]},
        entry(0, 4) | {"shape": [True]},
        entry(0, 4) | {"shape": [1.0]},
        entry(0, 4) | {"shape": [-1, -1]},
        entry(0, 4) | {"shape": "1"},
        entry(0, 4, (1,) * 9),
        entry(0, 4) | {"data_offsets": [0, 4, 4]},
        entry(0, 4) | {"data_offsets": [False, 4]},
        entry(0, 4) | {"data_offsets": {"0": 4}},
        entry(0, 4, (2,)),
        entry(4, 0),
        entry(0, 4, (10**400, 0)),
    ],
)
def test_tensors_described_wrongly_are_refused_by_name(wrong):
    assert "'w'" in refuse({"w": wrong}, bytes(4))


def test_control_characters_of_a_stranger_are_shown_escaped_and_short():
    reason = refuse({"\x1b[31m" + "x" * 999: None})
    assert "\x1b" not in reason
    assert len(reason) < 130


@pytest.mark.parametrize(
    ("tensors", "data"),
    [
        ({"a": entry(0, 4)}, 5),
        ({"a": entry(0, 4)}, 3),
        ({"a": entry(4, 8)}, 8),
        ({"a": entry(0, 4), "b": entry(8, 12)}, 12),
        ({"a": entry(0, 4), "b": entry(0, 4)}, 4),
        ({"a": entry(0, 8, (2,)), "b": entry(4, 12, (2,))}, 12),
        ({}, 1),
    ],
    ids=["trailing", "cut", "starts late", "hole", "same place", "overlap", "no tensor"],
)
def test_data_must_be_filled_exactly(tensors, data):
    assert refuse(tensors, bytes(data)) == "is damaged: its tensors do not fill it exactly"


@pytest.mark.parametrize("header", [[], 3, "text", None, True])
def test_a_header_that_is_no_object_is_refused(header):
    assert refuse(header) == "is damaged: its header is not a JSON object"


@pytest.mark.parametrize("metadata", [[], "text", {"a": 1}, {"a": None}])
def test_metadata_must_be_text(metadata):
    assert refuse({"__metadata__": metadata}) == "is damaged: its metadata are not text"


@pytest.mark.parametrize("text", [b"", b"{", b"{}x", b"\xff\xfe", b'{"a":' + b"9" * 9999 + b"}"])
def test_text_that_is_no_json_is_refused(text):
    assert refuse(text) == "is damaged: its description is not valid JSON"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":NaN}', "holds the number NaN"),
        (b'{"a":-Infinity}', "holds the number -Infinity"),
        (b'{"a":1e999}', "holds the infinite number '1e999'"),
        (b"[" * 200_000, "nests its description too deeply"),
    ],
)
def test_numbers_and_nesting_beyond_json_are_refused(text, reason):
    assert refuse(text) == reason


def test_files_shorter_than_the_length_field_are_refused():
    for size in range(8):
        with pytest.raises(Refusal, match="is cut off"):
            parse_header(bytes(size), size)


def test_a_header_longer_than_the_file_is_refused():
    with pytest.raises(Refusal, match="cut off inside its header"):
        parse_header((9).to_bytes(8, "little") + b"{}", 10)


def test_the_length_of_a_header_is_refused_before_it_is_read():
    for length in (safetensor_header.MAX_HEADER_BYTES + 1, 2**64 - 1):
        with pytest.raises(Refusal, match="header is over 1 MiB"):
            parse_header(length.to_bytes(8, "little"), 8)


def test_a_header_of_exactly_one_mebibyte_is_read():
    text = b"{}".ljust(safetensor_header.MAX_HEADER_BYTES)
    assert parse(text).tensors == ()


def test_more_than_two_thousand_tensors_are_refused():
    many = {str(i): entry(0, 0, (0,)) for i in range(2000)}
    assert len(parse(many).tensors) == 2000
    assert refuse(many | {"x": entry(0, 0, (0,))}) == "has 2001 tensors, more than 2000"


class TestFiles:
    def test_only_the_header_is_needed(self, tmp_path):
        path = tmp_path / "a"
        path.write_bytes(assemble({"a": entry(0, 1 << 22, (1 << 20,))}, bytes(1 << 22)))
        assert read_header(path).tensors[0].shape == (1 << 20,)

    def test_a_file_above_the_cap_is_refused_unread(self, tmp_path):
        path = tmp_path / "huge"
        with path.open("wb") as file:
            file.truncate(safetensor_header.MAX_FILE_BYTES + 1)  # sparse: takes no room
        for read in (read_header, read_whole):
            with pytest.raises(Refusal, match="has 2147483649 bytes, more than the 2147483648"):
                read(path)

    def test_folders_and_pipes_are_refused_without_waiting(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path, tmp_path / "pipe"):
            with pytest.raises(Refusal, match="is not a file"):
                read_whole(path)

    def test_a_whole_file_is_read(self, tmp_path):
        (tmp_path / "a").write_bytes(b"abc")
        assert read_whole(tmp_path / "a") == b"abc"

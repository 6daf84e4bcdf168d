import errno
import hashlib
import json
import random
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch

from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.network.config import base, tiny
from napari_rwkvseg.network.model import build_network
from napari_rwkvseg.store import checksum, model_file
from napari_rwkvseg.store.model_file import (
    LOGITS,
    decode_model,
    encode_for_library,
    encode_model,
    read_model,
    write_model,
)
from napari_rwkvseg.store.model_header import read_card, read_summary
from napari_rwkvseg.store.refusal import Refusal
from napari_rwkvseg.store.safetensor_header import parse_header
from tests.store.model_builders import (
    CARD,
    SMALL,
    OneLayer,
    assemble,
    one_layer_model,
    parts,
    small_model,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cells.safetensors"


@pytest.fixture(scope="module")
def raw():
    return encode_model(one_layer_model(), build=OneLayer).data


def refuse(raw, build=OneLayer):
    with pytest.raises(Refusal) as caught:
        decode_model(raw, build=build)
    return caught.value.reason


def resigned(raw, *, document=None, tensors=None):
    """Return the file with other content and the right checksum for it."""
    metadata = parts(raw)[0]["__metadata__"]
    text = metadata["rwkvseg"] if document is None else json.dumps(document)
    stored = safetensors_torch.load(raw) if tensors is None else tensors
    unsigned = safetensors_torch.save(stored, {"rwkvseg": text})
    sha = checksum.checksum(text, parse_header(unsigned, len(unsigned)), unsigned)
    return safetensors_torch.save(stored, {"rwkvseg": text, "rwkvseg_sha256": sha})


def document_of(raw):
    return json.loads(parts(raw)[0]["__metadata__"]["rwkvseg"])


class TestRoundTrip:
    def test_weights_card_and_checksum_come_back_bit_for_bit(self, path):
        model = small_model()
        sha = write_model(path, model)
        found = read_model(path)
        assert (found.card, found.sha256, found.network.config) == (CARD, sha, SMALL)
        before, after = model.network.state_dict(), found.network.state_dict()
        assert list(before) == list(after)
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert not found.network.training

    @pytest.mark.parametrize("size", [tiny, base])
    def test_the_real_sizes(self, path, size):
        model = replace(small_model(), network=build_network(size()))
        write_model(path, model)
        assert read_model(path).network.config == size()

    def test_writing_leaves_the_network_and_random_numbers_alone(self, path):
        model = small_model()
        model.network.train()
        state = torch.random.get_rng_state()
        write_model(path, model)
        read_model(path)
        assert model.network.training
        assert torch.equal(torch.random.get_rng_state(), state)

    def test_the_same_model_gives_the_same_bytes(self):
        assert encode_model(small_model()) == encode_model(small_model())

    def test_the_data_begin_at_a_multiple_of_eight(self, raw):
        assert (len(raw) - len(parts(raw)[1])) % 8 == 0

    def test_the_card_is_part_of_the_checksum(self):
        assert (
            encode_model(small_model()).sha256 != encode_model(small_model(seed=0, steps=1)).sha256
        )

    def test_the_checksum_is_the_documented_one(self, raw):
        header, data = parts(raw)
        metadata = header.pop("__metadata__")
        digest = hashlib.sha256()
        stream = [metadata["rwkvseg"].encode()]
        for name in sorted(header):
            entry = header[name]
            begin, end = entry["data_offsets"]
            shape = ",".join(str(side) for side in entry["shape"]).encode()
            stream += [name.encode(), entry["dtype"].encode(), shape, data[begin:end]]
        for part in stream:
            digest.update(len(part).to_bytes(8, "little") + part)
        assert digest.hexdigest() == metadata["rwkvseg_sha256"]

    def test_tied_and_channels_last_weights_are_stored(self, path):
        model = one_layer_model()
        weight = model.network.mix.weight
        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        model.network.mix.bias.data = model.network.mix.weight.data[1, :2, 0, 0]
        write_model(path, model, build=OneLayer)
        found = read_model(path, build=OneLayer).network.mix
        assert found.bias.tolist() == [1, 2]
        assert torch.equal(found.weight, weight)

    def test_any_name_is_a_file(self, tmp_path):
        path = tmp_path / "名前 é.safetensors"
        write_model(str(path), one_layer_model(), build=OneLayer)
        assert read_model(str(path), build=OneLayer).card == CARD


class TestHalf:
    def test_the_file_is_smaller_and_the_weights_are_rounded(self, path):
        model = small_model()
        full, half = encode_model(model), encode_model(model, half=True)
        stored = safetensors_torch.load(half.data)
        assert len(half.data) < len(full.data)
        assert {
            t.dtype for name, t in stored.items() if t.is_floating_point() and name != LOGITS
        } == {torch.float16}
        found = decode_model(half.data).network.state_dict()
        for name, value in model.network.state_dict().items():
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value.half().to(value.dtype))

    def test_the_expected_logits_are_those_of_the_rounded_weights(self):
        model = one_layer_model()
        model.network.mix.bias.data[1] = 2000.3  # 16 bits know only 2000
        logits = safetensors_torch.load(encode_model(model, half=True, build=OneLayer).data)[LOGITS]
        assert logits.dtype == torch.float32
        assert logits[1, 0, 0].item() == pytest.approx(2000 + (2 * 17 + 3 * 34) / 96, abs=1e-3)

    def test_what_is_beyond_its_range_keeps_32_bits(self):
        model = one_layer_model()
        model.network.mix.bias.data[1] = 70000.5
        raw = encode_model(model, half=True, build=OneLayer).data
        stored = safetensors_torch.load(raw)
        assert stored["mix.bias"].dtype == torch.float32
        assert stored["mix.weight"].dtype == torch.float16
        found = decode_model(raw, build=OneLayer).network.state_dict()
        assert found["mix.bias"][1] == 70000.5

    @pytest.mark.parametrize("half", [False, True])
    def test_what_is_not_finite_is_not_written(self, half):
        model = one_layer_model()
        model.network.mix.bias.data[1] = float("inf")
        with pytest.raises(Refusal, match=r"not finite in 'mix.bias'"):
            encode_model(model, half=half, build=OneLayer)


class TestDamage:
    def test_every_bit_flip_is_refused(self, raw):
        rng = random.Random(0)
        header = len(raw) - len(parts(raw)[1])
        places = [rng.randrange(len(raw)) for _ in range(300)] + list(range(header))
        for place in places:
            damaged = bytearray(raw)
            damaged[place] ^= 1 << rng.randrange(8)
            refuse(bytes(damaged))

    def test_every_cut_is_refused(self, raw):
        rng = random.Random(1)
        for size in [0, 1, 7, 8, 9, len(raw) - 1, *(rng.randrange(len(raw)) for _ in range(300))]:
            refuse(raw[:size])

    def test_every_appended_byte_is_refused(self, raw):
        assert refuse(raw + b"\0") == "is damaged: its tensors do not fill it exactly"

    def test_a_flip_in_the_weights_is_found_by_the_checksum(self, raw):
        damaged = bytearray(raw)
        damaged[-1] ^= 1
        assert refuse(bytes(damaged)) == "is damaged: the checksum does not match"

    def test_two_tensors_that_changed_places_are_refused(self, raw):
        header, data = parts(raw)
        header["swapped"] = header.pop("mix.bias")
        assert refuse(assemble(header, data)) == "is damaged: the checksum does not match"

    def test_metadata_of_others_are_refused(self, raw):
        header, data = parts(raw)
        header["__metadata__"]["more"] = "x"
        assert "metadata" in refuse(assemble(header, data))

    def test_an_upper_case_checksum_is_no_checksum(self, raw):
        header, data = parts(raw)
        header["__metadata__"]["rwkvseg_sha256"] = header["__metadata__"]["rwkvseg_sha256"].upper()
        assert refuse(assemble(header, data)) == "is damaged: the checksum does not match"

    @pytest.mark.parametrize("metadata", [{}, {"format": "pt"}])
    def test_files_of_other_programs_are_refused(self, metadata):
        raw = safetensors_torch.save({"w": torch.zeros(2)}, metadata)
        assert refuse(raw) == "holds no model of this plugin"

    def test_text_with_a_lone_surrogate_is_refused(self, raw):
        header, data = parts(raw)
        header["__metadata__"]["rwkvseg"] = '{"schema": 1, "x": "\ud800"}'
        assert refuse(assemble(header, data)) == "is damaged: its text is not valid Unicode"


class TestForgery:
    """Files with the right checksum that must not become models all the same."""

    def test_resigning_is_fair(self, raw):
        assert decode_model(resigned(raw), build=OneLayer).card == CARD

    def test_a_newer_format_is_named_before_the_checksum_is_compared(self, raw):
        header, data = parts(raw)
        header["__metadata__"]["rwkvseg"] = json.dumps({"schema": 9})
        assert refuse(assemble(header, data)) == "has format 9, this version reads up to 1"

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_weights_that_are_not_finite(self, raw, value):
        tensors = safetensors_torch.load(raw)
        tensors["mix.bias"][0] = value
        assert (
            refuse(resigned(raw, tensors=tensors))
            == "holds numbers that are not finite in 'mix.bias'"
        )

    def test_expected_logits_that_are_not_finite(self, raw):
        tensors = safetensors_torch.load(raw)
        tensors[LOGITS][0, 0, 0] = float("nan")
        assert "not finite" in refuse(resigned(raw, tensors=tensors))

    @pytest.mark.parametrize(
        ("change", "refused"), [(9e-4, False), (1.1e-3, True), (-1.1e-3, True)]
    )
    def test_the_self_test_allows_a_thousandth(self, raw, change, refused):
        tensors = safetensors_torch.load(raw)
        tensors[LOGITS][1, 63, 63] += change
        changed = resigned(raw, tensors=tensors)
        if refused:
            assert (
                refuse(changed) == "fails its self-test: logits differ by 0.0011, allowed is 0.001"
            )
        else:
            decode_model(changed, build=OneLayer)

    def test_logits_of_another_shape(self, raw):
        tensors = safetensors_torch.load(raw)
        tensors[LOGITS] = tensors[LOGITS][:1].clone()
        assert "logits have the shape (2, 64, 64)" in refuse(resigned(raw, tensors=tensors))

    def test_no_self_test(self, raw):
        tensors = safetensors_torch.load(raw)
        del tensors[LOGITS]
        assert refuse(resigned(raw, tensors=tensors)) == "has no self-test"

    def test_a_missing_tensor(self, raw):
        tensors = safetensors_torch.load(raw)
        del tensors["mix.bias"]
        assert "it lacks tensor 'mix.bias'" in refuse(resigned(raw, tensors=tensors))

    def test_a_foreign_tensor(self, raw):
        tensors = safetensors_torch.load(raw) | {"mix.more": torch.zeros(1)}
        assert "it has an unknown tensor 'mix.more'" in refuse(resigned(raw, tensors=tensors))

    def test_another_shape(self, raw):
        tensors = safetensors_torch.load(raw) | {"mix.bias": torch.zeros(3)}
        assert "mix.bias is (3,), not (2,)" in refuse(resigned(raw, tensors=tensors))

    def test_whole_numbers_in_place_of_floats(self, raw):
        tensors = safetensors_torch.load(raw) | {"mix.bias": torch.zeros(2, dtype=torch.int64)}
        assert "does not fit its network" in refuse(resigned(raw, tensors=tensors))

    def test_a_description_of_a_giant_network_takes_no_memory(self):
        raw = encode_model(small_model()).data
        document = document_of(raw)
        document["config"]["widths"] = [4096] * 4
        document["config"]["depths"] = [16] * 4  # 10^10 weights
        assert "does not fit" in refuse(resigned(raw, document=document), build=build_network)

    def test_a_description_that_cannot_be_built(self):
        raw = encode_model(small_model()).data
        document = document_of(raw)
        document["config"]["schedule"]["levels"][0]["heads"][0]["order"] = "zigzag"
        reason = refuse(resigned(raw, document=document), build=build_network)
        assert "network that cannot be" in reason

    @pytest.mark.parametrize("error", [TypeError, ValueError, RuntimeError, ZeroDivisionError])
    def test_a_network_whose_making_fails(self, raw, error):
        def build(_):
            raise error("no")

        assert refuse(raw, build=build) == "describes a network that cannot be built"

    @pytest.mark.parametrize("error", [ValueError, RuntimeError])
    def test_a_network_that_does_not_run(self, raw, error):
        class Failing(OneLayer):
            def forward(self, image):
                raise error("no")

        assert "the network does not run" in refuse(raw, build=Failing)

    def test_a_library_that_refuses_what_the_caps_let_pass(self, raw, monkeypatch):
        def load(_):
            raise SafetensorError("no")

        monkeypatch.setattr(safetensors_torch, "load", load)
        assert refuse(raw) == "is damaged: safetensors refuses it"


class TestSaving:
    def test_weights_that_are_not_finite_are_not_saved(self, path):
        model = small_model()
        write_model(path, model)
        before = path.read_bytes()
        next(model.network.parameters()).data.view(-1)[0] = float("nan")
        with pytest.raises(ModelFileError, match="holds numbers that are not finite"):
            write_model(path, model)
        assert path.read_bytes() == before

    def test_logits_that_are_not_finite_are_not_saved(self, path):
        model = one_layer_model()
        model.network.mix.weight.data[:] = 3e38
        with pytest.raises(ModelFileError, match="not finite in 'self_test/logits'"):
            write_model(path, model, build=OneLayer)
        assert not path.exists()

    def test_a_card_that_does_not_fit_is_not_saved(self, path):
        with pytest.raises(ModelFileError, match=r"^cells.safetensors names 2 classes"):
            write_model(path, small_model(class_names=("a", "b")))

    def test_a_full_disk_is_one_sentence_and_keeps_the_old_file(self, path, monkeypatch):
        write_model(path, small_model())
        before = path.read_bytes()

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(ModelFileError) as caught:
            write_model(path, small_model(seed=1))
        assert str(caught.value) == (
            "cells.safetensors cannot be saved: No space left on device. "
            "Check the path and its permissions."
        )
        assert path.read_bytes() == before
        assert [p.name for p in path.parent.iterdir()] == [path.name]

    def test_a_missing_folder_is_one_sentence(self, tmp_path):
        with pytest.raises(ModelFileError, match="cannot be saved: No such file"):
            write_model(tmp_path / "none" / "a.safetensors", one_layer_model(), build=OneLayer)

    def test_temporary_files_of_the_dead_are_swept(self, path):
        left = path.with_name(".cells.safetensors.00.rwkvseg-tmp")
        left.write_bytes(b"part")
        write_model(path, one_layer_model(), build=OneLayer)
        assert not left.exists()


class TestMessages:
    def test_a_damaged_file(self, path, raw):
        path.write_bytes(raw[:-1])
        with pytest.raises(ModelFileError) as caught:
            read_model(path)
        assert str(caught.value) == (
            "cells.safetensors is damaged: its tensors do not fill it exactly. "
            "Copy or download it again."
        )

    def test_a_newer_format(self, path):
        path.write_bytes(assemble({"__metadata__": {"rwkvseg": '{"schema": 3}'}}))
        for read in (read_model, read_card):
            with pytest.raises(ModelFileError) as caught:
                read(path)
            assert str(caught.value) == (
                "cells.safetensors has format 3, this version reads up to 1. "
                "Update napari-rwkvseg to open it."
            )

    def test_a_missing_file_and_a_folder(self, path, tmp_path):
        with pytest.raises(ModelFileError, match="cannot be read: No such file"):
            read_model(path)
        with pytest.raises(ModelFileError, match="is not a file"):
            read_model(tmp_path)

    def test_an_error_without_a_text_of_the_system_is_named_by_its_type(self, path, monkeypatch):
        def fail(_):
            raise TimeoutError

        monkeypatch.setattr(model_file, "read_whole", fail)
        with pytest.raises(ModelFileError, match="cannot be read: TimeoutError"):
            read_model(path)


class TestHeader:
    def test_the_summary_is_read_without_the_weights(self, path):
        sha = write_model(path, small_model())
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # only a whole reading finds it
        summary = read_summary(path)
        assert (summary.card, summary.config, summary.sha256) == (CARD, SMALL, sha)
        assert summary.file_bytes == len(data)
        assert summary.plugin.count(".") == 2
        assert read_card(path) == CARD

    @pytest.mark.parametrize("sha", ["", "ab", "G" * 64, "A" * 64, "../" * 21 + "a"])
    def test_a_checksum_that_is_none_is_refused(self, path, raw, sha):
        header, data = parts(raw)
        header["__metadata__"]["rwkvseg_sha256"] = sha
        path.write_bytes(assemble(header, data))
        with pytest.raises(ModelFileError, match="metadata are not those of a model"):
            read_summary(path)

    def test_foreign_metadata_are_refused(self, path, raw):
        header, data = parts(raw)
        header["__metadata__"]["more"] = ""
        path.write_bytes(assemble(header, data))
        with pytest.raises(ModelFileError, match="metadata are not those of a model"):
            read_summary(path)

    def test_the_caps_hold(self, path, raw):
        path.write_bytes(raw + b"\0")
        with pytest.raises(ModelFileError, match="do not fill it exactly"):
            read_card(path)

    def test_torch_is_not_imported(self, path):
        write_model(path, small_model())
        code = (
            "import sys; from pathlib import Path\n"
            "from napari_rwkvseg.store.library import Library\n"
            "from napari_rwkvseg.store.model_header import read_card\n"
            "read_card(Path(sys.argv[1])); Library(Path(sys.argv[2])).names()\n"
            "sys.exit('torch' in sys.modules)"
        )
        arguments = [sys.executable, "-c", code, str(path), str(path.parent)]
        assert subprocess.run(arguments, check=False).returncode == 0


class TestLibraryDoor:
    def test_a_file_keeps_its_bytes(self, path):
        write_model(path, small_model())
        name, encoded = encode_for_library(path)
        assert (name, encoded.data) == ("cells", path.read_bytes())

    def test_a_model_is_encoded(self):
        assert encode_for_library(small_model()) == ("cells", encode_model(small_model()))

    def test_errors_name_the_source(self, path):
        path.write_bytes(b"")
        with pytest.raises(ModelFileError, match=r"^cells.safetensors is cut off: it has 0 bytes"):
            encode_for_library(path)
        with pytest.raises(ModelFileError, match=r"^cells names 2 classes"):
            encode_for_library(small_model(class_names=("a", "b")))

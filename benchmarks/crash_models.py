"""Killing programs that save models, damaging model files, and programs that share a folder."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.forked import Forked, Say
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.atomic import SUFFIX
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.model_file import encode_model, read_model
from napari_rwkvseg.store.own_models import OwnModels

NAME = "liver"


@dataclass(frozen=True)
class Version:
    """A model as it is on disk."""

    sha256: str
    data: bytes


def make_versions(model: Model, number: int) -> list[Version]:
    """Return versions of a model that differ in one weight each."""
    found = []
    for step in range(number):
        with torch.no_grad():
            next(iter(model.network.parameters())).view(-1)[0] = step / number
        encoded = encode_model(model)
        found.append(Version(encoded.sha256, encoded.data))
    return found


def kill_while_saving(versions: list[Version], kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill programs that save one version after the other; return what they left behind."""
    random_ = random.Random(seed)
    unreadable = lost = temporaries = swept = saved = wrong = 0
    for _ in range(kills):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "models"
            OwnModels(root).add(NAME, versions[0].sha256, versions[0].data, activate=True)
            child = Forked(lambda say, root=root: save_all(root, versions[1:], say))  # type: ignore[misc]
            child.wait_for_word()
            time.sleep(random_.uniform(0, 0.15))
            child.kill()
            said = [one["sha"] for one in child.said() if one["sha"]]
            swept += len(list(root.glob(f".*{SUFFIX}")))
            library = Library(root, Path(folder))  # the next start
            temporaries += len(list(root.glob(f".*{SUFFIX}")))
            present = {hashlib.sha256(path.read_bytes()).digest() for path in _files(root)}
            wrong += len(present - {hashlib.sha256(v.data).digest() for v in versions})
            lost += sum(_bytes_of(sha, versions) not in present for sha in said)
            saved += len(said)
            unreadable += not _loads(library)
    return {
        "kills": kills,
        "saved": saved,
        "unreadable": unreadable + wrong,
        "lost_versions": lost,
        "temporaries_of_the_dead": swept,
        "temporaries_after_restart": temporaries,
    }


def save_all(root: Path, versions: list[Version], say: Say) -> None:
    """Save versions until killed, and say which are on the disk."""
    say(sha="")
    for version in versions:
        OwnModels(root).add(NAME, version.sha256, version.data, activate=True)
        say(sha=version.sha256)
    signal.pause()


def damage(version: Version, rounds: int, seed: int = 0) -> dict[str, Any]:
    """Offer a library a model with one flipped bit, or cut somewhere, again and again."""
    random_ = random.Random(seed)
    accepted = harmed = 0
    with tempfile.TemporaryDirectory() as folder:
        root, file = Path(folder) / "models", Path(folder) / "damaged.safetensors"
        OwnModels(root).add(NAME, version.sha256, version.data, activate=True)
        library = Library(root, Path(folder) / "none")
        for number in range(2 * rounds):
            file.write_bytes(
                _flipped(version.data, random_) if number % 2 else _cut(version.data, random_)
            )
            accepted += _installs(library, file)
            harmed += library.path(NAME).read_bytes() != version.data
        harmed += not _loads(library)
    return {"flips": rounds, "cuts": rounds, "accepted": accepted, "active_harmed": harmed}


def share(versions: list[Version], pairs: int) -> dict[str, Any]:
    """Let two programs save into one folder and load from it at the same time."""
    corrupt = lost = failed = loads = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "models"
        OwnModels(root).add(NAME, versions[0].sha256, versions[0].data, activate=True)
        for number in range(pairs):
            chosen = [versions[(2 * number + k) % len(versions)] for k in (1, 2)]
            said = _race(root, chosen)
            failed += 2 - len(said)
            loads += sum(one["loads"] for one in said)
            corrupt += sum(one["corrupt"] for one in said)
            present = {path.read_bytes() for path in _files(root)}
            corrupt += len(present - {version.data for version in versions})
            lost += sum(version.data not in present for version in chosen)
            for path in _files(root):
                if path != Library(root, Path(folder)).path(NAME):
                    path.unlink()
    return {"pairs": pairs, "loads": loads, "corrupt": corrupt, "lost": lost, "failed": failed}


def save_and_load(root: Path, version: Version, gate: int, say: Say) -> None:
    """Save a version and load the active one a few times, once the gate opens."""
    os.read(gate, 1)
    library, corrupt = Library(root, root / "none"), 0
    OwnModels(root).add(NAME, version.sha256, version.data, activate=True)
    for _ in range(3):
        corrupt += not _loads(library)
    say(loads=3, corrupt=corrupt)


def _race(root: Path, chosen: list[Version]) -> list[dict[str, Any]]:
    gate, key = os.pipe()
    children = []
    for version in chosen:
        children.append(Forked(lambda say, version=version: _behind(key, root, version, gate, say)))  # type: ignore[misc]
    os.close(key)  # nobody can write any more: both readers go on at once
    os.close(gate)
    ended = [child.end() for child in children]
    return [
        one
        for child, status in zip(children, ended, strict=True)
        if not status
        for one in child.said()
    ]


def _behind(key: int, root: Path, version: Version, gate: int, say: Say) -> None:
    os.close(key)
    save_and_load(root, version, gate, say)


def _loads(library: Library) -> bool:
    try:
        read_model(library.path(NAME))
    except ModelFileError:
        return False
    return True


def _installs(library: Library, file: Path) -> bool:
    try:
        library.install(file, name=NAME)
    except ModelFileError:
        return False
    return True


def _flipped(data: bytes, random_: random.Random) -> bytes:
    damaged = bytearray(data)
    bit = random_.randrange(8 * len(data))
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def _cut(data: bytes, random_: random.Random) -> bytes:
    return data[: random_.randrange(len(data))]


def _files(root: Path) -> list[Path]:
    return sorted(root.glob("*.safetensors"))


def _bytes_of(sha256: str, versions: list[Version]) -> bytes:
    data = next(version.data for version in versions if version.sha256 == sha256)
    return hashlib.sha256(data).digest()

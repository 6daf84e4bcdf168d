"""`models`: list, describe, import and remove models; go from version to version."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_rwkvseg.cli.common import Commands
from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.store.library import Library, Version
from napari_rwkvseg.store.own_models import SHORT


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command and its actions to the parser."""
    parser = commands.add_parser("models", help="list and manage models", description=__doc__)
    parser.set_defaults(run=show_list)
    actions = parser.add_subparsers(metavar="ACTION")
    actions.add_parser("list", help="names and titles").set_defaults(run=show_list)
    info = actions.add_parser("info", help="the card of a model")
    info.add_argument("name")
    info.set_defaults(run=show_card)
    add = actions.add_parser("import", help="add a model file to the library")
    add.add_argument("file", type=Path)
    add.add_argument("--name", help="in the library (default: the name on its card)")
    add.set_defaults(run=add_file)
    delete = actions.add_parser("delete", help="move an own model to the library's trash")
    delete.add_argument("name")
    delete.set_defaults(run=delete_model)
    versions = actions.add_parser("versions", help="all versions of a model")
    versions.add_argument("name")
    versions.set_defaults(run=show_versions)
    activate = actions.add_parser("activate", help="let the name stand for another version")
    activate.add_argument("name")
    activate.add_argument("sha256", metavar="SHA", help="its checksum, or the first digits")
    activate.set_defaults(run=activate_version)
    rollback = actions.add_parser("rollback", help="go back to what the active one was made from")
    rollback.add_argument("name")
    rollback.set_defaults(run=roll_back)
    actions.add_parser("path", help="the folder of own models").set_defaults(run=show_path)


def show_list(_: argparse.Namespace) -> int:
    """Print a line for each model; of damaged ones say so, and go on."""
    library, damaged = Library(), False
    for name in library.names():
        try:
            sys.stdout.write(f"{name:16s} {library.card(name).title}\n")
        except RwkvSegError as error:
            damaged = True
            sys.stderr.write(f"napari-rwkvseg: {error}\n")
    return int(damaged)


def show_card(parsed: argparse.Namespace) -> int:
    """Print the card of a model."""
    sys.stdout.write(describe(Library().card(parsed.name)))
    return 0


def describe(card: ModelCard) -> str:
    """Return a card as lines of text, empty entries left out."""
    lines = [card.title]
    for key, value in card.to_dict().items():
        if key in ("title", "notice") or value in ("", (), {}, None):
            continue
        lines.append(f"  {key.replace('_', ' '):14s} {_plain(value)}")
    return "\n".join([*lines, card.notice, ""])


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {number:.4g}" for key, number in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def add_file(parsed: argparse.Namespace) -> int:
    """Install a model file under a name of choice, or that on its card."""
    version = Library().install(parsed.file, name=parsed.name)
    sys.stdout.write(f"{version.name} is installed.\n")
    return 0


def delete_model(parsed: argparse.Namespace) -> int:
    """Move an own model to the trash."""
    Library().delete(parsed.name)
    sys.stdout.write(f"{parsed.name} is in the trash.\n")
    return 0


def show_versions(parsed: argparse.Namespace) -> int:
    """Print a line for each version: active or not, checksum, date, parent, scores."""
    for version in Library().versions(parsed.name):
        sys.stdout.write(version_line(version) + "\n")
    return 0


def version_line(version: Version) -> str:
    """Return what tells a version from the others; an asterisk marks the active one."""
    card = version.card
    parts = [version.sha256[:SHORT], card.created or "no date"]
    if card.parent:
        parts.append(f"from {card.parent[:SHORT]}")
    parts += [f"{key.replace('_', ' ')} {value:.4g}" for key, value in card.metrics.items()]
    mark = "*" if version.active else " "
    return f"{mark} {'  '.join(parts)}{'  bundled' if version.bundled else ''}"


def activate_version(parsed: argparse.Namespace) -> int:
    """Let a name stand for another of its versions."""
    version = Library().activate(parsed.name, parsed.sha256)
    sys.stdout.write(f"{version.name} is version {version.sha256[:SHORT]} now.\n")
    return 0


def roll_back(parsed: argparse.Namespace) -> int:
    """Go back to the version that the active one was made from."""
    version = Library().rollback(parsed.name)
    sys.stdout.write(f"{version.name} is version {version.sha256[:SHORT]} again.\n")
    return 0


def show_path(_: argparse.Namespace) -> int:
    """Print where own models lie."""
    sys.stdout.write(f"{Library().root}\n")
    return 0

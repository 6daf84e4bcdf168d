"""`models`: list, describe, import and remove models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_rwkvseg.cli.common import Commands
from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.store.library import Library


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
    add.set_defaults(run=add_file)
    delete = actions.add_parser("delete", help="move an own model to the library's trash")
    delete.add_argument("name")
    delete.set_defaults(run=delete_model)
    actions.add_parser("path", help="the folder of own models").set_defaults(run=show_path)


def show_list(_: argparse.Namespace) -> int:
    """Print a line for each model."""
    library = Library()
    for name in library.names():
        sys.stdout.write(f"{name:16s} {library.card(name).title}\n")
    return 0


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
    """Install a model file under the name on its card."""
    version = Library().install(parsed.file)
    sys.stdout.write(f"{version.name} is installed.\n")
    return 0


def delete_model(parsed: argparse.Namespace) -> int:
    """Move an own model to the trash."""
    Library().delete(parsed.name)
    sys.stdout.write(f"{parsed.name} is in the trash.\n")
    return 0


def show_path(_: argparse.Namespace) -> int:
    """Print where own models lie."""
    sys.stdout.write(f"{Library().root}\n")
    return 0

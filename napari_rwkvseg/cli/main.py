"""Parse the command line, run the command, turn errors into one sentence and an exit code."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence

import napari_rwkvseg
from napari_rwkvseg.cli import demo, evaluate, finetune, models, scan_order, segment, train
from napari_rwkvseg.cli.common import in_words
from napari_rwkvseg.engine.card import RESEARCH_ONLY
from napari_rwkvseg.errors import RwkvSegError

COMMANDS = (segment, train, finetune, evaluate, models, scan_order, demo)
FAILED, INTERRUPTED = 1, 130
VERBOSE = "more messages, and tracebacks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        0 done, 1 failed, 2 wrong use, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that it cannot spell is no reason to stop
            stream.reconfigure(errors="replace")
    parsed = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if parsed.verbose else logging.WARNING)
    try:
        code = int(parsed.run(parsed))
        sys.stdout.flush()  # here, where a reader that has gone can be caught
        return code
    except KeyboardInterrupt:
        return _say("Interrupted.", INTERRUPTED)
    except BrokenPipeError:  # `| head` has what it wanted
        _forget_output()
        return FAILED
    except (RwkvSegError, ValueError, OSError) as error:
        if parsed.verbose:
            raise
        reason = in_words(error) if isinstance(error, OSError) else error
        return _say(f"napari-rwkvseg: {reason}", FAILED)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; imports no torch, so that ``--help`` is quick."""
    parser = argparse.ArgumentParser(
        prog="napari-rwkvseg",
        description="Segment medical and microscopy images with a light Vision-RWKV network.",
        epilog=RESEARCH_ONLY,
    )
    parser.add_argument("--version", action="version", version=napari_rwkvseg.__version__)
    parser.add_argument("--verbose", action="store_true", help=VERBOSE)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    for command_parser in commands.choices.values():
        command_parser.epilog = RESEARCH_ONLY
        command_parser.add_argument(
            "--verbose", action="store_true", default=argparse.SUPPRESS, help=VERBOSE
        )
    return parser


def _forget_output() -> None:
    """Send what is still to be written nowhere, or Python would complain as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(sentence: str, code: int) -> int:
    sys.stderr.write(sentence + "\n")
    return code

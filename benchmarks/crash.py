"""What strokes and models survive: kills, damaged files, programs that share a folder.

    python -m benchmarks.crash [--json F] [--painting 200] [--saving 300] [--damage 1000]
                               [--pairs 100] [--strokes 400] [--side 2048]

painting: SIGKILL while strokes are painted on a Labels layer with the autosave at work. No stroke
that was done more than a second before may be missing from what is offered for restoring. Every
second program compacts its journal all the time, not once a minute.
saving: SIGKILL while versions are saved into a library.
damage: so many bit flips and so many cuts of a model file, each offered to a library.
pairs: two programs that save into one folder and load from it at the same time.
strokes: milliseconds that a stroke takes the thread that paints, with and without autosave.

Ends with status 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.bundled import start_model
from benchmarks.crash_models import damage, kill_while_saving, make_versions, share
from benchmarks.crash_painting import cost_of_keeping, kill_while_painting

VERSIONS = 12
MOST_MS = 20.0  # of the painting thread per stroke, 95th percentile


def run(parsed: argparse.Namespace) -> dict[str, Any]:
    """Run all parts that were asked for; print each when it is done."""
    torch.set_num_threads(1)  # a child of a process with threads may wait for them for ever
    versions = make_versions(start_model("nuclei"), VERSIONS)
    parts = {
        "strokes": lambda n: cost_of_keeping(n, parsed.side),
        "painting": lambda n: kill_while_painting(n, parsed.side),
        "saving": lambda n: kill_while_saving(versions, n),
        "damage": lambda n: damage(versions[0], n),
        "pairs": lambda n: share(versions, n),
    }
    found = {}
    for name, part in parts.items():
        if number := getattr(parsed, name):
            found[name] = part(number)
            print(json.dumps({name: found[name]}), flush=True)
    return found


def broken(found: dict[str, Any]) -> list[str]:
    """Return which promises were broken."""
    bad = {
        "strokes": lambda part: part["with_p95_ms"] > MOST_MS,
        "painting": lambda part: (
            part["offered"] < part["kills"]
            or part["lost_older_than_promise"]
            or part["broken_masks"]
        ),
        "saving": lambda part: (
            part["unreadable"] or part["lost_versions"] or part["temporaries_after_restart"]
        ),
        "damage": lambda part: part["accepted"] or part["active_harmed"],
        "pairs": lambda part: part["corrupt"] or part["lost"] or part["failed"],
    }
    return [name for name, part in found.items() if bad[name](part)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    for name, number in (("painting", 200), ("saving", 300), ("damage", 1000), ("pairs", 100)):
        parser.add_argument(f"--{name}", type=int, default=number, metavar="N")
    parser.add_argument("--strokes", type=int, default=400, metavar="N")
    parser.add_argument("--side", type=int, default=2048, help="of the painted image, pixels")
    parsed = parser.parse_args(arguments)
    found = run(parsed)
    found["broken_promises"] = broken(found)
    print(json.dumps({"broken_promises": found["broken_promises"]}))
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(found, indent=2), encoding="utf-8")
    return 1 if found["broken_promises"] else 0


if __name__ == "__main__":
    sys.exit(main())

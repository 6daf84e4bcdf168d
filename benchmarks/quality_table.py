"""Tables of what `benchmarks.quality` has measured, in Markdown.

    python -m benchmarks.quality_table F [F …] [--against base]

Kinds that need other budgets have files of their own. A figure of a kind is the mean over its
images, given as mean ± sd over the seeds; `mean` is the mean over the kinds. `difference` compares
with one method kind by kind and seed by seed: mean and half-width of the 95 % interval (Student's t
over kinds and seeds), in points.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

Cells = Mapping[str, Mapping[str, Any]]
Key = tuple[str, int]  # kind, seed

SCORES = ("dice", "iou")
NONE = "–"


def means_of(cells: Cells, score: str) -> dict[str, dict[Key, float]]:
    """Return the mean over the images of each cell, by method, then by kind and seed."""
    means: dict[str, dict[Key, float]] = {}
    for key, cell in cells.items():
        kind, method, seed = key.split("/")
        means.setdefault(method, {})[kind, int(seed)] = float(np.mean(cell[score]))
    return means


def joined(files: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the figures of several files as those of one; costs are those of the first."""
    both: dict[str, dict[str, Any]] = {"cells": {}, "costs": {}}
    for figures in files:
        both["cells"] |= figures["cells"]
        both["costs"] = {**figures["costs"], **both["costs"]}
    return both


def difference(ours: Mapping[Key, float], theirs: Mapping[Key, float]) -> tuple[float, float, int]:
    """Return mean, half-width of the 95 % interval, and number of the paired differences."""
    pairs = [theirs[key] - ours[key] for key in ours.keys() & theirs.keys()]
    n = len(pairs)
    if n < 2:
        return (pairs[0] if pairs else float("nan")), float("nan"), n
    half = stats.t.ppf(0.975, n - 1) * np.std(pairs, ddof=1) / np.sqrt(n)
    return float(np.mean(pairs)), float(half), n


def score_table(figures: Mapping[str, Any], score: str, against: str) -> list[str]:
    """Return the lines of the table of a score."""
    means = means_of(figures["cells"], score)
    kinds = list(dict.fromkeys(kind for rows in means.values() for kind, _ in rows))
    lines = [
        f"| {score} | {' | '.join(kinds)} | mean | difference | parameters | GMAC | CPU ms |",
        "|---" * (len(kinds) + 6) + "|",
    ]
    for method in sorted(means, key=lambda name: name != against):  # it first, the others in order
        rows = means[method]
        by_kind = [[value for (k, _), value in rows.items() if k == kind] for kind in kinds]
        columns = [over_seeds(values) for values in by_kind]
        # of other seeds than those of `against` it would say nothing
        whole = all(by_kind) and means.get(against, rows).keys() <= rows.keys()
        mean = f"{np.mean([np.mean(v) for v in by_kind]):.4f}" if whole else NONE
        compared = NONE if method == against else _compared(means.get(against, {}), rows)
        cost = _cost(figures["costs"].get(method, {}))
        lines.append(f"| {' | '.join((method, *columns, mean, compared, cost))} |")
    return lines


def over_seeds(values: Sequence[float], digits: int = 4) -> str:
    """Return the mean of some values, with their standard deviation if there are several."""
    if not values:
        return NONE
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def _compared(ours: Mapping[Key, float], theirs: Mapping[Key, float]) -> str:
    mean, half, n = difference(ours, theirs)
    return f"{100 * mean:+.2f} ± {100 * half:.2f} (n = {n})" if n > 1 else NONE


def _cost(cost: Mapping[str, float]) -> str:
    if not cost:
        return " | ".join([NONE] * 3)
    millions = cost["parameters"] / 1e6
    return f"{millions:.2f} M | {cost['GMAC at 256']:.2f} | {cost['CPU ms at 256']:.0f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", type=Path, nargs="+", help="what benchmarks.quality wrote")
    parser.add_argument("--against", default="base", metavar="METHOD")
    parsed = parser.parse_args(arguments)
    figures = joined(json.loads(path.read_text("utf-8")) for path in parsed.figures)
    tables = ["\n".join(score_table(figures, score, parsed.against)) for score in SCORES]
    sys.stdout.write("\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()

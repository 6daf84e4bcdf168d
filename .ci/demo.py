"""The demo where nobody sits: click Segment with a real pointer, keep and judge what comes out.

    python .ci/demo.py FOLDER     (needs a display and xdotool)

Writes FOLDER/screenshot.png and FOLDER/nuclei-mask.tif and prints the Dice score of the mask
against the sample's truth. Exits with 0 only if all of this worked and the score is good.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import napari
from pointer import Player, Script, segment, shoot

from napari_rwkvseg.adapters.samples import sample_path
from napari_rwkvseg.engine.metrics import dice
from napari_rwkvseg.store.formats import read_image, read_labels, write_mask
from napari_rwkvseg.widgets.demo import Demo, open_demo

SAMPLE = "nuclei"
MASK = f"{SAMPLE} · mask"
GOOD = 0.9
TIMEOUT = 120.0


def click_through(demo: Demo, folder: Path) -> Script:
    """Click Segment and wait for the mask; write screenshot and mask."""
    layers = demo.viewer.layers
    yield from segment(demo.dock, demo.button, layers, MASK)
    shoot(folder / "screenshot.png", demo.dock.window())
    write_mask(folder / f"{SAMPLE}-mask.tif", layers[MASK].data, read_image(sample_path(SAMPLE)))


def judge(folder: Path) -> float:
    """Return the Dice score of the mask that was written, foreground against background."""
    truth: Any = read_labels(sample_path(SAMPLE, truth=True))
    mask: Any = read_labels(folder / f"{SAMPLE}-mask.tif")
    return dice(mask > 0, truth > 0)


def main(folder: Path) -> int:
    """Run the demo once; return the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (folder / "screenshot.png", folder / f"{SAMPLE}-mask.tif"):
        old.unlink(missing_ok=True)
    demo = open_demo(SAMPLE)
    player = Player(click_through(demo, folder), TIMEOUT, demo.viewer.close)
    napari.run()
    if player.failure:
        print(f"The demo failed: {player.failure}", file=sys.stderr)
        return 1
    score = judge(folder)
    print(f"screenshot  {folder / 'screenshot.png'}")
    print(f"mask        {folder / f'{SAMPLE}-mask.tif'}")
    print(f"Dice        {score:.4f} against the truth of the sample (good: {GOOD} or more)")
    return 0 if score >= GOOD else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

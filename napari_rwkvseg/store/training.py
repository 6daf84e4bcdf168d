"""From a data folder to a model file: what the `train` command runs."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.dataset import Record, Sample, read_index
from napari_rwkvseg.engine.device import choose_device, limit_threads
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.engine.train import train
from napari_rwkvseg.engine.train_options import TrainOptions
from napari_rwkvseg.engine.widths import median_width
from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.store.checkpoint import Checkpoint, is_checkpoint
from napari_rwkvseg.store.dataset import read_samples
from napari_rwkvseg.store.document import Document, write_document
from napari_rwkvseg.store.formats import read_image
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.model_file import write_model
from napari_rwkvseg.store.model_path import check_model_path
from napari_rwkvseg.store.refusal import refusals_name

T = TypeVar("T")
LOG_COLUMNS = ("step", "loss", "learning_rate", "val_dice", "val_iou")
LOG_HEADER = ",".join(LOG_COLUMNS).encode()
OWN_DATA = "own data"  # on the card, where no recipe names them
PLACEHOLDER = "DATA"  # in the command there


@dataclass(frozen=True)
class TrainingRun:
    """What to train on, what to call it, where to put it.

    Attributes
    ----------
    data : tuple of Path
        Folders with ``index.csv``; their parts "train" and "val" are used.
    out : Path
        The model file. Beside it lie the log (``.csv``) and, while the run lasts, its checkpoint.
    card : ModelCard
        Name, classes and provenance; what the run finds out is filled in.
    options : TrainOptions
        How to train.
    device : str
        "auto", "cpu", "cuda" …
    threads : int, optional
        Processor threads; by default all cores but one.
    recipe : str
        Name of the file that says how to train, for the command on the card; empty if none does.
    classes : tuple of str
        Names that go before those of the recipe, for that command too.
    resume : bool
        Go on from the checkpoint of a run with equal options, if there is one.
    """

    data: tuple[Path, ...]
    out: Path
    card: ModelCard
    options: TrainOptions = field(default_factory=TrainOptions)
    device: str = "auto"
    threads: int | None = None
    recipe: str = ""
    classes: tuple[str, ...] = ()
    resume: bool = False

    @property
    def log(self) -> Path:
        """Losses and scores, one line per step."""
        return self.out.with_suffix(".csv")

    @property
    def checkpoint(self) -> Path:
        """Where the state of the run is kept."""
        return self.out.with_suffix(".checkpoint")

    def command(self) -> str:
        """Return the command that repeats the run, without paths of this machine.

        Names of data folders may be names of people: only those that the recipe states are shown.
        """
        options = self.options
        recipe = f" --recipe {self.recipe}" if self.recipe else ""
        threads = f" --threads {self.threads}" if self.threads else ""
        start = f" --start {Path(options.start).name}" if options.start else ""
        classes = f" --classes {shlex.join(self.classes)}" if self.classes else ""
        return (
            f"napari-rwkvseg train --data {self._public_data()} --out {self.out.name}{recipe} "
            f"--size {options.size} --steps {options.steps} --crop {options.crop} "
            f"--batch {options.batch} --seed {options.seed}{start}{threads}{classes}"
        )

    def _public_data(self) -> str:
        stated = re.split(r"[^\w.-]+", self.card.data)
        names = [folder.name for folder in self.data]
        return " ".join(name if name and name in stated else PLACEHOLDER for name in names)


def train_model(run: TrainingRun, token: CancelToken | None = None) -> Job[Model]:
    """Read the data, train, and write the best model with its card.

    Parameters
    ----------
    run : TrainingRun
        What to do.
    token : CancelToken, optional
        Polled at every image and step. What was reached stays in the checkpoint.

    Yields
    ------
    Progress
        Of reading, then of training, with its metrics.

    Returns
    -------
    Model
        As written to ``run.out``.

    Raises
    ------
    RwkvSegError
        If model or log cannot be written or would replace a foreign file, which is found out first;
        if data cannot be read, or training diverges.
    """
    _check_outputs(run)
    token = token or CancelToken()
    previous = limit_threads(run.threads)
    try:
        records = [record for folder in run.data for record in read_index(folder, "train")]
        channels = yield from _count_channels(records, token)
        samples = yield from _read(run, "train", channels)
        held_out = yield from _read(run, "val", channels)
        model = yield from _train(run, samples, held_out, channels, token)
    finally:
        limit_threads(previous)
    write_model(run.out, model, half=True)
    run.checkpoint.unlink(missing_ok=True)
    return model


def _check_outputs(run: TrainingRun) -> None:
    """See that what a run writes and removes is its own."""
    check_model_path(run.out)
    kinds: tuple[tuple[Path, Callable[[Path], bool]], ...] = (
        (run.log, _is_log),
        (run.checkpoint, is_checkpoint),
    )
    for path, is_ours in kinds:
        if path.exists() and not is_ours(path):
            raise ModelFileError(
                f"{path.name} beside the model would be replaced, and no training wrote it. "
                "Name another model file."
            )


def _is_log(path: Path) -> bool:
    """Whether a file is the log of a run; of one killed as it began it is empty."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(len(LOG_HEADER) + 2)
    return not first or first.rstrip() == LOG_HEADER


def _read(run: TrainingRun, split: str, channels: int) -> Job[tuple[Sample, ...]]:
    """Read one part of all data folders."""
    samples: tuple[Sample, ...] = ()
    classes = 1 + len(run.card.class_names)
    for folder in run.data:
        records = read_index(folder, split)
        samples += yield from read_samples(
            records, channels, run.card.percentiles, classes, str(folder)
        )
    return samples


def _count_channels(records: Sequence[Record], token: CancelToken) -> Job[int]:
    """Return 3 if any image has colours, else 1."""
    for done, record in enumerate(records, start=1):
        token.raise_if_cancelled()
        yield Progress(done, len(records), f"Looking at {record.name}")
        if read_image(record.image).is_rgb:
            return 3
    return 1


def _train(
    run: TrainingRun,
    samples: Sequence[Sample],
    held_out: Sequence[Sample],
    channels: int,
    token: CancelToken,
) -> Job[Model]:
    config = run.options.config(channels, 1 + len(run.card.class_names))
    device, _ = choose_device(run.device)
    card = _stated(run)
    with refusals_name(run.out.name, "saved"):  # now, not when all is trained
        write_document(Document("", config, card))
    keeper = Checkpoint(run.checkpoint, _identity(run, config, samples, held_out))
    if not run.resume:
        run.checkpoint.unlink(missing_ok=True)
        run.log.unlink(missing_ok=True)
    start = Library().load(run.options.start).network if run.options.start else None
    job = train(samples, held_out, config, run.options, device, keeper, token, start)
    network, score = yield from _logged(job, run.log)
    card = replace(
        card,
        object_width=round(median_width([[sample.truth] for sample in samples]), 1),
        metrics={"dice_mean": score.dice_mean, "iou_mean": score.iou_mean, "n": score.n},
        created=datetime.now(UTC).date().isoformat(),
    )
    return Model(network.cpu(), card)


def _identity(
    run: TrainingRun, config: NetworkConfig, samples: Sequence[Sample], held_out: Sequence[Sample]
) -> str:
    """Return what a run must have in common with the one that left a checkpoint."""
    about = {
        "options": asdict(run.options),
        "network": config.to_dict(),
        "classes": run.card.class_names,
        "percentiles": run.card.percentiles,
        "train": [sample.name for sample in samples],
        "val": [sample.name for sample in held_out],
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _logged(job: Job[T], path: Path) -> Job[T]:
    """Pass a training job on and write its metrics to a CSV file, one line per step."""
    log: _Log | None = None
    while True:
        try:
            event = next(job)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        log = log or _Log(path, first_step=event.done)
        log.write(event)
        yield event


class _Log:
    """Losses and scores of a run; goes on where an interrupted run has to begin again.

    Parameters
    ----------
    path : Path
        CSV file, appended to.
    first_step : int
        Lines of this step and later ones were written after the checkpoint: they are dropped.
    """

    def __init__(self, path: Path, first_step: int) -> None:
        self._path = path
        with path.open("a+", newline="", encoding="utf-8") as file:
            file.seek(0)
            kept = [line for line in csv.DictReader(file) if int(line["step"]) < first_step]
        with path.open("w", newline="", encoding="utf-8") as file:
            lines = csv.DictWriter(file, LOG_COLUMNS)
            lines.writeheader()
            lines.writerows(kept)

    def write(self, event: Progress) -> None:
        """Add the line of a step."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, LOG_COLUMNS).writerow({"step": event.done, **dict(event.metrics)})


def _stated(run: TrainingRun) -> ModelCard:
    """Return the card of a run as far as it is known before training."""
    return replace(
        run.card,
        size=run.options.size,
        data=run.card.data or OWN_DATA,
        command=run.command(),
        seed=run.options.seed,
        steps=run.options.total,
    )

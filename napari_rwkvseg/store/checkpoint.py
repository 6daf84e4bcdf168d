"""The state of a training run on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.atomic import write_atomic

KEY = "rwkvseg_training"


def is_checkpoint(path: Path) -> bool:
    """Return whether a file is the state of a training run, of any; False for all else."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return KEY in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False


@dataclass(frozen=True)
class Checkpoint:
    """One file, replaced atomically at each validation.

    Attributes
    ----------
    path : Path
        Where.
    run : str
        What identifies the run; another run's state is refused.
    """

    path: Path
    run: str

    def save(self, tensors: Mapping[str, Tensor], step: int, best: float) -> None:
        """Replace the kept state by that after `step` steps.

        Raises
        ------
        OSError
            If it cannot be written; the state kept before is untouched.
        """
        about = json.dumps({"run": self.run, "step": step, "best": repr(best)})
        write_atomic(self.path, safetensors.torch.save(dict(tensors), {KEY: about}))

    def load(self) -> tuple[dict[str, Tensor], int, float] | None:
        """Return tensors, step and best score of the kept state; None if there is none.

        Raises
        ------
        ModelFileError
            If the file is damaged or belongs to another run.
        """
        if not self.path.exists():
            return None
        try:
            with safetensors.safe_open(self.path, framework="pt") as file:
                about = json.loads((file.metadata() or {})[KEY])
                # copies: Windows replaces no file that is mapped, and the next state goes there
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            run, step, best = about["run"], int(about["step"]), float(about["best"])
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
            raise ModelFileError(
                f"{self.path.name} is not a readable checkpoint. Delete it to start anew."
            ) from error
        if run != self.run:
            raise ModelFileError(
                f"{self.path.name} belongs to a run with other options, classes or images. "
                "Repeat these, or delete it to start anew."
            )
        return tensors, step, best

"""Why a file is refused, and strict reading of JSON that strangers may have written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from napari_rwkvseg.errors import ModelFileError

COPY_AGAIN = "Copy or download it again"
OTHER_FILE = "Choose a file that napari-rwkvseg saved"
CHECK_PLACE = "Check the path and its permissions"


class Refusal(Exception):  # noqa: N818 - a verdict; whoever knows the file turns it into an error
    """A file is not accepted; the parts of the sentence that a user will read.

    Parameters
    ----------
    reason : str
        Continues the file name: ``"is damaged: the checksum does not match"``.
    remedy : str
        What to do, without a full stop.
    """

    def __init__(self, reason: str, remedy: str = COPY_AGAIN) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@contextmanager
def refusals_name(name: str, action: str = "read") -> Iterator[None]:
    """Turn refusals and system errors inside the block into `ModelFileError` about `name`.

    Parameters
    ----------
    name : str
        File name, without its folder: folders may carry patient names.
    action : str
        What was tried, a participle: ``"read"``, ``"saved"``.

    Raises
    ------
    ModelFileError
        One sentence with file, reason and remedy.
    """
    try:
        yield
    except Refusal as refusal:
        raise ModelFileError(f"{name} {refusal.reason}. {refusal.remedy}.") from refusal
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ModelFileError(f"{name} cannot be {action}: {reason}. {CHECK_PLACE}.") from error


def strict_json(text: str | bytes) -> Any:
    """Read JSON, refusing what only tolerant readers accept.

    Parameters
    ----------
    text : str or bytes
        UTF-8 if bytes.

    Raises
    ------
    Refusal
        If it is no JSON, nests too deeply, repeats a key, or holds NaN or an infinite number.
    """
    try:
        return json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except RecursionError as error:
        raise Refusal("nests its description too deeply", OTHER_FILE) from error
    except ValueError as error:  # includes undecodable bytes and numbers of endless digits
        raise Refusal("is damaged: its description is not valid JSON") from error


def shown(value: object, limit: int = 60) -> str:
    """Return a printable, short form of a value that a stranger chose."""
    text = ascii(value)
    return text if len(text) <= limit else text[:limit] + "…"


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refusal("names an entry twice", OTHER_FILE)
    return found


def _refuse_constant(constant: str) -> NoReturn:
    raise Refusal(f"holds the number {constant}", OTHER_FILE)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise Refusal(f"holds the infinite number {shown(digits)}", OTHER_FILE)
    return number

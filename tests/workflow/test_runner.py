from __future__ import annotations

from napari_rwkvseg.engine.progress import CancelToken, Job
from napari_rwkvseg.workflow.runner import JobResult, Latest
from tests.workflow.builders import StepRunner


class Wishes:
    """Counts up at each job; remembers what came back."""

    def __init__(self) -> None:
        self.runner = StepRunner()
        self.latest = Latest(self.runner, self._make, self._accept)
        self.made = 0
        self.accepted: list[object] = []
        self.nothing_to_do = False

    def _make(self, token: CancelToken) -> Job[int] | None:
        if self.nothing_to_do:
            return None
        self.made += 1
        return self._job(self.made)

    @staticmethod
    def _job(number: int) -> Job[int]:
        yield from ()
        return number

    def _accept(self, result: JobResult) -> None:
        self.accepted.append(result.value)


def test_wishes_made_meanwhile_collapse_into_one() -> None:
    wishes = Wishes()
    for _ in range(5):
        wishes.latest.request()
    assert wishes.made == 1
    wishes.runner.finish()
    assert wishes.accepted == [1, 2]
    assert not wishes.latest.busy


def test_nothing_to_do_leaves_the_runner_alone() -> None:
    wishes = Wishes()
    wishes.nothing_to_do = True
    wishes.latest.request()
    assert (wishes.runner.started, wishes.latest.busy) == (0, False)


def test_cancelling_forgets_the_job_and_the_wishes() -> None:
    wishes = Wishes()
    wishes.latest.request()
    wishes.latest.request()
    wishes.latest.cancel()
    wishes.runner.finish()
    assert (wishes.made, wishes.accepted, wishes.latest.busy) == (1, [], False)


def test_it_works_again_after_cancelling() -> None:
    wishes = Wishes()
    wishes.latest.request()
    wishes.latest.cancel()
    wishes.latest.request()
    wishes.runner.finish()
    assert wishes.accepted == [2]

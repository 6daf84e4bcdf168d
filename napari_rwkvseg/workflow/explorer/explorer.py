"""What a person can ask the scan explorer, and what happens then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_rwkvseg.adapters.from_layers import LayerLike, full_resolution, image_from_layer
from napari_rwkvseg.adapters.to_layers import geometry_of
from napari_rwkvseg.engine.progress import CancelToken, Job
from napari_rwkvseg.workflow.choices import Message, Region, Tone
from napari_rwkvseg.workflow.explorer import jobs
from napari_rwkvseg.workflow.explorer.jobs import Read, Reading
from napari_rwkvseg.workflow.explorer.layer_set import LayerSet
from napari_rwkvseg.workflow.explorer.pointer import Pointer
from napari_rwkvseg.workflow.explorer.questions import Questions
from napari_rwkvseg.workflow.explorer.state import ExplorerState, Look, Pixel, Shown
from napari_rwkvseg.workflow.region import region_of, shows_plane
from napari_rwkvseg.workflow.runner import JobResult, Latest, Runner
from napari_rwkvseg.workflow.workflow import Workflow

if TYPE_CHECKING:
    from napari_rwkvseg.engine.card import Model
    from napari_rwkvseg.engine.explain import Explanation
    from napari_rwkvseg.engine.heat import Heat
    from napari_rwkvseg.workflow.explorer.layer_set import Defer

ORDER, PATH, HEAT = "order", "path", "look"  # kinds of `adapters.scan_layers`, which imports torch
START = Message("Click Explore to see in which order the model reads this image.")
NOT_FLAT = (
    "The canvas does not show rows and columns of one plane of {}: go back to 2-D and the usual "
    "axes, then click again."
)


@dataclass(frozen=True)
class ExplorerRunners:
    """The kinds of work of the explorer that go on beside each other."""

    read: Runner
    draw: Runner
    look: Runner
    ask: Runner

    def cancel(self) -> None:
        """Stop everything."""
        for runner in (self.read, self.draw, self.look, self.ask):
            runner.cancel()


class Explorer:
    """State and actions of the explorer; call it from one thread only.

    Parameters
    ----------
    workflow : Workflow
        Knows viewer, image and model.
    runners : ExplorerRunners
        What runs the long work.
    defer : callable
        Runs a function in a later turn of the event loop.
    prepare : callable
        Loads what the viewer needs for its first layers; called in the thread of a job.
    """

    def __init__(
        self,
        workflow: Workflow,
        runners: ExplorerRunners,
        defer: Defer,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.workflow = workflow
        self.state = ExplorerState(problem=START)
        self.layers = LayerSet(workflow.viewer, defer)
        self._runners = runners
        self._pointer = Pointer(workflow.viewer, self._pointed)
        self._reading = Latest(runners.read, self._read_job, self._was_read)
        self._drawing = Latest(runners.draw, self._draw_job, self._was_drawn)
        self._looking = Latest(runners.look, self._look_job, self._was_looked)
        self.questions = Questions(self, runners.ask)
        self._read: Read | None = None
        self._asked: Reading | None = None
        self._on = False
        self._source: tuple[Any, ...] = ()
        self._defer = defer
        self._prepare = prepare
        workflow.closing.connect(self._end)
        for event in (workflow.state.events.reading, workflow.state.events.card):
            event.connect(self._other_source)
        workflow.viewer.dims.events.current_step.connect(self._slice_moved)

    # ------------------------------------------------------------------- reading
    def start(self) -> None:
        """Read the image that is chosen in the Segment tab, and follow it from now on."""
        if problem := self.workflow.obstacle():
            self.state.problem = Message(problem, Tone.ERROR)
            return
        self._on = True
        self._source = self._present_source()
        self._reread()

    def close(self) -> None:
        """Stop all work and take our layers away."""
        self._on = False
        self._runners.cancel()
        for wish in (self._reading, self._drawing, self._looking):
            wish.cancel()
        self.set_asking(False)
        self._forget()
        self.state.busy = False
        self.state.problem = START

    def _end(self) -> None:
        """Close with the dock: the window is being rebuilt, and layers must not go just now."""
        if self._on:
            self._on = False
            self._runners.cancel()
            self._defer(self.close)

    @property
    def active(self) -> bool:
        """Whether the explorer follows the image."""
        return self._on

    @property
    def read(self) -> Read | None:
        """What was read last."""
        return self._read

    def _reread(self) -> None:
        self.state.busy = True
        self.state.problem = Message("Reading the image…")
        self._reading.request()

    def _read_job(self, token: CancelToken) -> Job[Read] | None:
        layer = self.workflow.state.image
        self._asked = reading = None if layer is None else self.reading_of(layer, self.state.pixel)
        if reading is None:
            self.state.busy = False
            return None
        return jobs.read(reading, token, self._prepare)

    def reading_of(self, layer: LayerLike, focus: Pixel | None = None) -> Reading | None:
        """Return what to read of an image layer, in its present slice; None if unreadable."""
        state = self.workflow.state
        if state.card is None:
            return None
        if layer is state.image:
            image, channel = state.reading.image, state.reading.channel
        else:
            image, channel = image_from_layer(layer), None
        if image is None:
            return None
        geometry = geometry_of(layer, image)
        where = region_of(Region.SLICE, layer, image, self.workflow.viewer) or ()
        if channel is not None:
            image = replace(image.select_channel(channel), name=image.name)
        known = self._read
        same = known is not None and known.explanation.image.array is image.array
        return Reading(
            image=image,
            index=tuple(part.start for part in where[:-2]),
            geometry=geometry,
            load=partial(self.load, state.card.name),
            focus=focus,
            tile=self.workflow.compute().tile,
            window=known.explanation.window if known is not None and same else None,
        )

    def load(self, name: str) -> Model:
        """Return a model, from memory if it was the last one used (called in the job)."""
        return self.workflow.load(name)

    def _was_read(self, result: JobResult) -> None:
        state = self.state
        state.busy = self._reading.busy
        if result.error or result.value is None:
            self._forget()
            state.problem = Message(result.error, Tone.ERROR)
            return
        self._read = result.value
        found = result.value.explanation
        state.problem = _about(found)
        state.explanation = found
        state.gates = result.value.gates
        state.reason = ()
        self.questions.say_difference()
        if state.shown is None or not _has(found, state.shown):
            state.shown = Shown(0, 0)
        self._drawing.request()
        if state.pixel is None:
            pass
        elif self._answers(state.pixel):
            self._look_anew()
        else:  # asked about while another tile was being read
            self._reread()
        self._place_anew()

    def _present_source(self) -> tuple[Any, ...]:
        """Return what a reading depends on: a layer list that changed reads images anew."""
        state = self.workflow.state
        layer, image = state.image, state.reading.image
        if layer is None or image is None:
            return None, None, state.reading.channel, state.card
        array = id(full_resolution(layer)), image.axes, image.spacing  # its own, never a wrapper
        return layer.unique_id, array, state.reading.channel, state.card

    def _other_source(self, _: object = None) -> None:
        """Follow another image, another reading of it, or another model."""
        source = self._present_source()
        if not self._on:
            return
        if source == self._source:
            self._place_anew()
            self._slice_moved()
            return
        self._source = source
        if self.workflow.obstacle():
            self.close()
        else:
            self._reading.cancel()
            self._forget()
            self._reread()

    def _place_anew(self) -> None:
        """Move our layers to where the image lies now; what was read stays."""
        layer, image = self.workflow.state.image, self.workflow.state.reading.image
        if layer is None or image is None or self._read is None:
            return
        geometry = geometry_of(layer, image)
        if geometry.agrees(self._read.place.geometry):
            return
        place = replace(self._read.place, geometry=geometry)
        self._read = replace(self._read, place=place)
        self._drawing.request()
        if self.layers.layer(HEAT) is not None and self.state.heat is not None:
            self.show_heat(self.state.heat, self.state.caption)

    def _slice_moved(self, event: object = None) -> None:
        """Read again where the slider rests on another plane than the one read or to be read."""
        if not self._on or self._asked is None or self.workflow.state.image is None:
            return
        reading = self.reading_of(self.workflow.state.image)
        if reading is not None and reading.index != self._asked.index:
            self._reread()

    def _forget(self) -> None:
        """Empty all that belongs to what was read."""
        state = self.state
        self._read = None
        self._drawing.cancel()
        self._looking.cancel()
        self.layers.remove()
        state.explanation = state.gates = state.heat = state.previous = state.pixel = None
        self.questions.forget()
        state.picture = None
        state.answer = state.details = state.difference = ""
        state.steps = state.step = 0
        state.reason = ()

    # ------------------------------------------------------------------- drawing
    def choose(self, shown: Shown) -> None:
        """Draw a head."""
        if self.state.shown != shown:
            self.state.previous = self.state.shown
        self.state.shown = shown
        self._drawing.request()
        if self.state.pixel is not None and self.state.look is not Look.NETWORK:
            self._look_anew()

    def show_step(self, step: int) -> None:
        """Show the visit up to a step, counted from 0."""
        from napari_rwkvseg.adapters.scan_layers import visit_limits

        self.state.step = max(0, min(step, self.state.steps - 1))
        layer = self.layers.layer(ORDER)
        if layer is not None:
            layer.contrast_limits = visit_limits(self.state.step)

    def hide_arrows(self, hidden: bool) -> None:
        """Hide the arrows while the visit is played, or show them again.

        They tell what comes before it comes, and are slow to draw.
        """
        if hidden:
            self.layers.hide(PATH)
        else:
            self.layers.unhide(PATH)

    def _draw_job(self, token: CancelToken) -> Job[jobs.Drawn] | None:
        if self._read is None or self.state.shown is None:
            return None
        return jobs.draw(self._read, self.state.shown)

    def _was_drawn(self, result: JobResult) -> None:
        if result.error:
            self.state.problem = Message(result.error, Tone.ERROR)
        if result.value is None or self._read is None or result.value.shown != self.state.shown:
            return
        drawn: jobs.Drawn = result.value
        self.state.details = drawn.details
        self.state.steps = drawn.steps
        self.state.step = drawn.steps - 1
        self.layers.show(drawn.layers)

    # ------------------------------------------------------------------- looking
    def set_asking(self, asking: bool) -> None:
        """Let clicks on the image ask, or leave the mouse alone."""
        self.state.asking = asking
        self._pointer.listen(asking)
        if not asking:
            self.layers.remove(HEAT)

    def set_look(self, look: Look) -> None:
        """Change through what a pixel looks at others."""
        self.state.look = look
        if self.state.pixel is not None:
            self._look_anew()

    def _look_anew(self) -> None:
        """Ask again: what was seen before is no answer to what is chosen now."""
        self.state.heat = None
        self.layers.hide(HEAT)
        if not self.state.asking:
            self.state.answer = ""
        self._looking.request()

    def look_at(self, pixel: Pixel) -> None:
        """Ask what a pixel, row and column in the plane, looked at."""
        self.state.pixel = pixel
        self.state.reason = ()
        if self._answers(pixel):
            self._looking.request()
        elif self._read is not None:  # another tile of a large image decides most about it
            self._reread()

    def _pointed(self, position: Any) -> None:
        """Ask about a world position, if it lies on the image."""
        layer, read = self.workflow.state.image, self._read
        if layer is None or read is None:
            return
        full = self.workflow.state.reading.image or read.reading.image
        if not shows_plane(layer, full, self.workflow.viewer):
            self.state.answer = NOT_FLAT.format(layer.name)
            return
        axes = full.axes.replace("s", "")
        place = layer.world_to_data(position)
        row, column = (round(float(place[axes.index(letter)])) for letter in "yx")
        height, width = read.reading.image.plane_shape
        if 0 <= row < height and 0 <= column < width:
            self.look_at((row, column))

    def _answers(self, pixel: Pixel) -> bool:
        """Whether the part of the plane that was read is the one that decides about a pixel."""
        read = self._read
        if read is None:
            return False
        from napari_rwkvseg.engine.explain import part_read

        shape = read.reading.image.plane_shape
        return part_read(shape, pixel, read.options)[0] == read.explanation.tile

    def _look_job(self, token: CancelToken) -> Job[jobs.Looked] | None:
        state = self.state
        if self._read is None or state.pixel is None or state.shown is None:
            return None
        return jobs.look(self._read, state.look, state.shown, state.pixel)

    def _was_looked(self, result: JobResult) -> None:
        state = self.state
        if result.error:
            state.answer, state.heat = result.error, None
            self.layers.remove(HEAT)
        if result.value is None or not state.asking:
            return
        looked: jobs.Looked = result.value
        if looked.asked != (state.explanation, state.look, state.shown, state.pixel):
            return  # something else was asked meanwhile: its answer is on the way
        state.answer = looked.answer
        self.show_heat(looked.heat, looked.caption)

    def show_heat(self, heat: Heat, caption: str) -> None:
        """Show what a pixel looked at over the image, as it lies now."""
        if self._read is None:
            return
        from napari_rwkvseg.adapters.scan_layers import heat_layer

        self.state.caption, self.state.heat = caption, heat
        self.layers.show((heat_layer(heat, self._read.place),))


def _has(found: Explanation, shown: Shown) -> bool:
    """Return whether a model has such a head."""
    layers = found.trace.layers
    return shown.layer < len(layers) and shown.head < len(layers[shown.layer].heads)


def _about(found: Explanation) -> Message:
    """Return what to know about what was read."""
    text = f"{found.card.title or found.card.name} on {found.image.name}"
    if found.index:
        text += f", plane {', '.join(str(i) for i in found.index)}"
    if found.tiles > 1:
        text += (
            f". The image is read in {found.tiles} tiles; this is the one around the pixel "
            "you clicked, or around the middle"
        )
    if not found.trace.words:
        text += ". Its decoder has no nested scan"
    return Message(f"{text}.")

"""What one does with a recipe: run it, resume it, evaluate the run, embed items, report. The Python API.

import contrast_core as contrast

run = contrast.run("graph/meow", set={"training.epochs": 20})
print(run.folder, run.scores["probe"])
table = contrast.embed(run.folder)              # Embeddings: z, sample, label
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from attrs import frozen

from contrast_core import results, runfolder
from contrast_core.assembly import assemble, carry, trained
from contrast_core.compose import Composition, compose
from contrast_core.distributed import leads as leads
from contrast_core.distributed import leave as leave
from contrast_core.distributed import started
from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.folderlock import training_in
from contrast_core.interfaces import Score
from contrast_core.recipe import Recipe, load_recipe
from contrast_core.registry import Registry, discover
from contrast_core.settings import as_settings
from contrast_core.training.checkpoint import load_checkpoint, own_randomness, remove_unfinished
from contrast_core.training.embedding import embed_all
from contrast_core.training.fit import Progress, Trainer
from contrast_core.training.legs import legs_of
from contrast_core.training.optimiser import optimiser_for
from contrast_core.training.position import Position
from contrast_core.training.record import check_tensorboard
from contrast_core.training.runtime import device_for, runtime_for
from contrast_core.training.validation import Validation


@frozen(eq=False)
class Run:
    """A finished run: its folder, and its scores by evaluator."""

    folder: Path
    scores: Mapping[str, Sequence[Score]]


class Interrupted(KeyboardInterrupt):
    """Training was interrupted; `folder` is where it can be resumed."""

    def __init__(self, folder: Path):
        super().__init__(f"Interrupted; go on with: contrast run --resume {folder}")
        self.folder = folder


def find_recipe(name: str, registry: Registry, settings: Sequence[str] = ()) -> Recipe:
    """A recipe by the path of its file or by its registered name."""
    if name.endswith(".toml") or Path(name).is_file():
        return load_recipe(name, settings)
    return load_recipe(registry.recipe(name).locate(), settings)


def run(
    recipe: str | Path,
    *,
    set: Mapping[str, Any] | Sequence[str] = (),
    out: str | Path | None = None,
    progress: Progress = lambda *_: None,
    registry: Registry | None = None,
) -> Run:
    """Train a recipe, evaluate it and write its report.

    Args:
        recipe: a registered name ("graph/meow") or the path of a TOML file.
        set: settings stronger than the recipe, as a mapping (of mappings) or as "section.key=value" texts.
        out: the run folder; by default the first free one under runs/.
        progress: called with (steps done, steps in all, text).
        registry: plugins to use; by default the installed ones.

    Raises:
        ContrastError: whatever is wrong, in one sentence; before training starts nothing has been written.
        Interrupted: on Ctrl-C, once there is a folder to resume.
    """
    with own_randomness():
        registry = registry or discover()
        resolved = find_recipe(str(recipe), registry, as_settings(set))
        wanted = Path(out) if out is not None else None
        if leads():
            # A slower process would find the folder that the first one has made in the meantime.
            runfolder.new_folder(resolved, wanted)
        # Every stage is composed before the first one trains: a misfit in the last must not cost hours.
        stages = resolved.stages()
        for _, stage in stages:
            composed = compose(stage, registry)
            if stage.training.validate is not None:
                Validation(composed)
            device_for(stage.training)
            check_tensorboard(stage.training.tensorboard)
        first = assemble(stages[0][1], registry)
        optimiser_for(first.pipeline, first.training)
        legs_of(first, first.training, started())
        folder = Path()
        if leads():
            folder = _claimed(resolved, wanted)
            runfolder.begin(folder, resolved, results.about(resolved, first, registry))
        folder = runtime_for(first.training, together=True, whole=first.data.whole).processes.agree(folder)
        with _alone_in(folder):
            return _train(folder, resolved, registry, progress, first, None)


def resume(folder: str | Path, *, progress: Progress = lambda *_: None, registry: Registry | None = None) -> Run:
    """Go on with an interrupted run from its last checkpoint, exactly as if it had never stopped.

    Raises:
        ContrastError: if the folder holds no run, its checkpoint is damaged or belongs to another recipe (then nothing
            has been written), or another process is training in it.
        Interrupted: on Ctrl-C.
    """
    folder = Path(folder)
    recipe = runfolder.recipe_of(folder)
    with own_randomness(), _alone_in(folder):
        return _train(folder, recipe, registry or discover(), progress, None, load_checkpoint(folder))


def evaluate(
    folder: str | Path, *, set: Mapping[str, Any] | Sequence[str] = (), registry: Registry | None = None
) -> Run:
    """Evaluate the trained model of a run again, with other settings if given, and write the scores."""
    folder = Path(folder)
    with own_randomness():
        composition = trained(folder, as_settings(set), registry or discover())
        return Run(folder, results.write_results(folder, composition))


def embed(
    folder: str | Path, *, set: Mapping[str, Any] | Sequence[str] = (), registry: Registry | None = None
) -> Embeddings:
    """The embedding of every item by the trained model of a run; `set={"data.path": ...}` for other items."""
    with own_randomness():
        composition = trained(Path(folder), as_settings(set), registry or discover())
        return embed_all(composition.pipeline, composition.data, composition.training.batch_size)


def write_report(folder: str | Path) -> Path:
    """Write `report.html` of a run (finished or not) and return its path."""
    from contrast_core.report import write_report as write

    runfolder.about(Path(folder))
    return write(Path(folder))


def _alone_in(folder: Path) -> AbstractContextManager[None]:
    """Nobody else may train there; processes that train together hold it once."""
    return training_in(folder, runfolder.RECIPE) if leads() else nullcontext()


def _claimed(recipe: Recipe, out: Path | None) -> Path:
    """Create the folder of a new run; of two runs that start together each gets its own."""
    while True:
        folder = runfolder.new_folder(recipe, out)
        try:
            folder.mkdir(parents=True, exist_ok=out is not None)
        except FileExistsError:
            continue
        except OSError as error:
            raise ContrastError(f"The run folder {folder} can't be made: {error}.") from error
        return folder


def _train(
    folder: Path,
    recipe: Recipe,
    registry: Registry,
    progress: Progress,
    first: Composition | None,
    state: Mapping[str, Any] | None,
) -> Run:
    stages = list(enumerate(recipe.stages()))[state["stage"] if state else 0 :]
    if not stages:
        raise ContrastError(f"The checkpoint in {folder} is of a stage that its recipe does not have.")
    began, earlier = time.perf_counter(), runfolder.about(folder).get("seconds") or 0.0
    identity = hashlib.sha256(json.dumps(recipe.resolved(), sort_keys=True, default=str).encode()).hexdigest()
    # A resume that is refused leaves the folder as it was.
    begun = first is not None and leads()
    composition, carried, at = first, None, Position()
    try:
        for number, (name, stage) in stages:
            if composition is None or number > 0:
                composition = assemble(stage, registry)
            if carried is not None:
                carry(carried, composition)
            start = Position(number, at.step, alarms=at.alarms)
            trainer = Trainer(composition, folder, stage=name, position=start, identity=identity, resume=state)
            if not begun and leads():
                remove_unfinished(folder)
                runfolder.update(folder, status="running")
            begun = leads()
            at = trainer.run(progress)
            carried, state = composition.pipeline.state_dict(), None
        assert composition is not None
        if not leads():
            return Run(folder, {})
        results.write_measured(folder, at.measured)
        results.write_model(folder, composition, registry)
        scores = results.write_results(folder, composition)
    except (Exception, KeyboardInterrupt) as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        how = "interrupted" if interrupted else "failed: " + (" ".join(str(error).split()) or type(error).__name__)
        if begun and (folder / runfolder.RUN).exists():
            runfolder.update(folder, status=how, seconds=round(earlier + time.perf_counter() - began, 1))
        if interrupted:
            raise Interrupted(folder) from error
        raise
    runfolder.update(
        folder,
        status="finished",
        steps=at.step,
        alarms=at.alarms,
        parameters=sum(p.numel() for p in composition.pipeline.parameters()),
        seconds=round(earlier + time.perf_counter() - began, 1),
        data=composition.data.source,
        classes=list(composition.data.classes),
    )
    write_report(folder)
    return Run(folder, scores)

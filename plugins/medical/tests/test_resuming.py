"""What learns beside the encoders does so in a run, and is where it was after a stop."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file

from contrast_core import runs


class StopHereError(Exception):
    """Somebody pulled the plug."""


@pytest.mark.parametrize(
    ("recipe", "term"), [("sepclr", "vclub"), ("sepclr", "density-ratio"), ("sepclr-automatic", "joint-entropy")]
)
def test_a_stopped_run_goes_on_bit_for_bit(recipe, term, tmp_path, monkeypatch):
    """All state at the end, the network's or the chosen weight's too; these differ from those of a shorter run."""
    monkeypatch.setattr(runs, "write_report", lambda folder: folder)
    settings = {"training.steps": 6, "training.checkpoint_every": 4, "training.threads": 1, "evaluation": {},
                "training.tensorboard": "off", "training.device": "cpu", "data.copies": 1,
                "objective.sepclr.independence.use": f"medical/{term}"}  # fmt: skip

    def stop(done, steps, text):
        if done == 5:
            raise StopHereError

    runs.run(f"medical/{recipe}", set=settings, out=tmp_path / "whole")
    runs.run(f"medical/{recipe}", set={**settings, "training.steps": 1}, out=tmp_path / "short")
    with pytest.raises(StopHereError):
        runs.run(f"medical/{recipe}", set=settings, out=tmp_path / "halves", progress=stop)
    runs.resume(tmp_path / "halves")
    whole, halves, short = (
        load_file(tmp_path / folder / "model.safetensors") for folder in ("whole", "halves", "short")
    )
    assert whole.keys() == halves.keys()
    assert all(whole[key].equal(halves[key]) for key in whole)
    own = [key for key in whole if "independence" in key or "balance" in key]
    assert own
    assert not any(whole[key].equal(short[key]) for key in own)

"""A run folder made of numbers, with text in it that would do harm if it were taken for markup."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

HARM = "</script><script>document.title='harmed'</script><img src=x onerror=alert(1)>\"'&"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 60 steps with 80 embeddings in three classes."""
    path = tmp_path_factory.mktemp("run")
    facts = {
        "name": "graph/toy",
        "title": f"Toy {HARM}",
        "summary": "Two views of each item.",
        "paper": "https://example.org/paper",
        "command": f"contrast run graph/toy --set note={HARM}",
        "seed": 3,
        "status": "finished",
        "started": "2026-03-05T14:24:00+00:00",
        "seconds": 200.2,
        "steps": 60,
        "versions": {"torch": "2.13.0", HARM: HARM},
        "data": f"Made of random numbers. {HARM}",
        "classes": ["red", "green", HARM],
        "device": "cpu",
        "parameters": 12345,
        "alarms": [f"Half of the anchors have no positive. {HARM}"],
    }
    (path / "run.json").write_text(json.dumps(facts))
    (path / "recipe.toml").write_text(f'name = "graph/toy" # {HARM}\n')
    with (path / "metrics.jsonl").open("w") as metrics, (path / "diagnostics.jsonl").open("w") as diagnostics:
        for step in range(1, 61):
            loss = math.exp(-step / 20)
            contrast = {"value": loss, "weight": 1.0, "rows": 90, "dropped": 10}
            terms = {
                "contrast": contrast,
                HARM: {"value": 1 - loss, "weight": 0.5, "rows": 100, "dropped": 0},
            }
            line = {"stage": "", "step": step, "loss": loss, "terms": terms, "scalars": {HARM: loss}}
            metrics.write(json.dumps(line) + "\n")
            seen = {"alignment": loss, "uniformity": -loss, "effective_rank": 5 + loss, "possible_rank": 8.0}
            diagnostics.write(json.dumps({"stage": "", "step": step, **seen, HARM: loss}) + "\n")
    scores = [
        {"evaluator": "probe", "split": split, "metric": metric, "mean": mean, "deviation": deviation}
        for split, metric, mean, deviation in [
            ("20 labels", "Macro-F1", 0.9, 0.012),
            ("40 labels", "Macro-F1", 0.94, 0.01),
            ("20 labels", "AUC", 0.97, None),
            (HARM, HARM, 0.5, 0.1),
        ]
    ]
    (path / "evaluation.json").write_text(json.dumps(scores))
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(80) % 4 - 1
    z = torch.randn(80, 8, generator=generator) + 6 * torch.eye(8)[label + 1]
    save_file({"z": z, "label": label, "sample": torch.arange(80)}, path / "embedding.safetensors")
    (path / "names.json").write_text(json.dumps([f"item number {row} {HARM}" for row in range(80)]))
    return path

"""The small system end to end, its encoder, and its evaluators."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from contrast_core import runs
from contrast_core.compose import compose
from contrast_core.errors import ContrastError
from contrast_core.registry import discover
from contrast_diffusion.encoder import SubjectDiffusion
from contrast_diffusion.evaluation.judges import Judges, accuracy, judge
from contrast_diffusion.model.generation import noise_of

SMALL = {
    "data.subjects": 5, "data.views": 8, "data.draws": 2, "data.size": 8, "encoder.channels": [8, 8],
    "encoder.guidance": [1.0, 2.0], "encoder.steps": 2, "evaluation.judges.guidance": [1.0, 2.0],
    "evaluation.judges.steps": 5, "training.steps": 3, "training.batch_size": 8, "training.threads": 1,
    "training.device": "cpu", "training.tensorboard": "off",
}  # fmt: skip


def composed(**more: Any) -> Any:
    """The small recipe's parts, prepared."""
    settings = [f"{key}={json.dumps(value)}" for key, value in {**SMALL, **more}.items()]
    parts = compose(runs.find_recipe("diffusion/customcontrast", discover(), settings), discover())
    parts.data.load()
    torch.manual_seed(0)
    parts.pipeline.prepare(parts.data.batch(torch.arange(8)))
    return parts


@pytest.mark.parametrize("more", [{}, {"encoder.prediction": "epsilon", "encoder.text": "caption"}])
def test_the_recipe_runs_whole(more, tmp_path):
    """Finite terms, scores, a grid of pictures in the report; the same run gives the same bits."""
    registry = discover()
    first, again = (
        runs.run("diffusion/customcontrast", set={**SMALL, **more}, out=tmp_path / part, registry=registry)
        for part in ("a", "b")
    )
    lines = [json.loads(line) for line in (first.folder / "metrics.jsonl").read_text().splitlines()]
    assert {"denoising", "semantic", "appearance"} == set(lines[0]["terms"])
    assert all(math.isfinite(term["value"]) for line in lines for term in line["terms"].values())
    assert {"Similarity", "Controllability"} <= {score.metric for score in first.scores["judges"]}
    numbers = [[(s.metric, s.split, s.mean) for found in run.scores.values() for s in found] for run in (first, again)]
    assert numbers[0] == numbers[1]
    kinds = [figure["kind"] for figure in json.loads((first.folder / "figures.json").read_text())]
    assert sorted(kinds) == ["images", "lines", "matrix"]


def test_the_other_recipe_says_what_it_needs():
    """Pictures first, then a folder of a model."""
    registry = discover()
    with pytest.raises(ContrastError, match=r"--set data\.path=FOLDER"):
        compose(runs.find_recipe("diffusion/customcontrast-sd", registry), registry)
    with pytest.raises(ContrastError, match=r"--set encoder\.pipeline=FOLDER"):
        compose(runs.find_recipe("diffusion/customcontrast-sd", registry, ["data.required=false"]), registry)


def test_noise_belongs_to_the_item():
    """The same beside other items and in another order, other for another item or purpose."""
    one = noise_of(torch.tensor([3, 5]), (2, 2))
    assert torch.equal(noise_of(torch.tensor([5]), (2, 2))[0], one[1])
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(noise_of(torch.tensor([3]), (2, 2), salt=1)[0], one[0])


def test_a_left_out_picture_adds_nothing():
    """Tokens that are 0 leave the U-Net's prediction as it is without an adapter."""
    backbone = composed().pipeline.encoder.backbone
    from contrast_diffusion.model.injection import keywords

    x, t, words = torch.randn(2, 3, 8, 8), torch.tensor([5, 9]), torch.randn(2, 8, 48)
    layers = len([name for name, _ in backbone.unet.named_modules() if name.endswith("attn2")])
    with torch.no_grad():
        without = backbone.unet(x, t, words).sample
        found = backbone.unet(x, t, words, cross_attention_kwargs=keywords(torch.zeros(2, layers, 4, 48))).sample
        given = backbone.unet(x, t, words, cross_attention_kwargs=keywords(torch.randn(2, layers, 4, 48))).sample
    torch.testing.assert_close(found, without)
    assert float((given - without).abs().max()) > 1e-4


def test_injection_is_the_sum_of_two_attentions():
    """The processor's output against a plain loop over heads and queries."""
    from diffusers.models.attention_processor import Attention

    from contrast_diffusion.model.injection import SubjectAttention

    torch.manual_seed(0)
    layer = Attention(query_dim=8, cross_attention_dim=6, heads=2, dim_head=4).double()
    processor = SubjectAttention(layer, 0, layer.processor).double()
    torch.nn.init.normal_(processor.key.weight)
    h, text, tokens = (torch.randn(1, n, d, dtype=torch.float64) for n, d in ((3, 8), (4, 6), (2, 6)))
    processor.scale = 0.7
    found = processor(layer, h, text, ip_hidden_states=[tokens])

    def attend(keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        rows = []
        for query in layer.to_q(h)[0]:
            heads = []
            for head in range(2):
                part = slice(4 * head, 4 * head + 4)
                weights = torch.softmax(keys[0, :, part] @ query[part] / 2, 0)
                heads.append(weights @ values[0, :, part])
            rows.append(torch.cat(heads))
        return torch.stack(rows)

    both = attend(layer.to_k(text), layer.to_v(text)) + 0.7 * attend(processor.key(tokens), processor.value(tokens))
    torch.testing.assert_close(found[0], layer.to_out[0](both), rtol=1e-10, atol=1e-12)


def test_evaluation_changes_nothing_and_training_drops_conditions():
    """In evaluation mode nothing is dropped; in training two passes differ by noise."""
    parts = composed(**{"encoder.dropout": 0.3})
    pipeline, batch = parts.pipeline, parts.data.batch(torch.arange(8))
    pipeline.eval()
    with torch.no_grad():
        one, two = (pipeline(batch).tables["denoising"]["prediction"] for _ in range(2))
    assert torch.equal(one, two)
    pipeline.train()
    with torch.no_grad():
        one, two = (pipeline(batch).tables["denoising"]["prediction"] for _ in range(2))
    assert not torch.equal(one, two)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        ({"caption": ["a disc"] * 7 + [" "]}, "Row 7 of the batch has an empty caption"),
        ({"image": torch.full((8, 3, 8, 8), float("nan"))}, "image of row 0 of the batch is NaN"),
    ],
)
def test_bad_batches_are_refused(spoil, sentence):
    """The sentence names the row."""
    parts = composed()
    flow = {**parts.pipeline.draw_views(parts.data.batch(torch.arange(8))), **spoil}
    with pytest.raises(ValueError, match=sentence):
        parts.pipeline.encoder(flow)
    with pytest.raises(ValueError, match="must agree"):
        parts.pipeline.encoder({**flow, **spoil, "cut": torch.zeros(8, 3, 4, 4)})


@pytest.mark.parametrize(
    "wrong", [{"width": 50, "heads": 4}, {"dropout": 0.5}, {"steps": 0}, {"train": "lora"}, {"train": "adapter"}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    """The sentence names the argument."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SubjectDiffusion(**wrong)


def test_a_judge_learns_what_can_be_seen():
    """Colours are told apart, by a network drawn from the generator alone."""
    label = torch.arange(60) % 3
    image = torch.zeros(60, 3, 8, 8)
    image[torch.arange(60), label] = 0.8
    one, two = (judge(image, label, 60, torch.Generator().manual_seed(0)) for _ in range(2))
    assert accuracy(one, image, label) == 1.0
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_guidance_must_agree():
    """The sentence says where to write it."""
    parts = composed()
    from contrast_core.training.embedding import embed_tables

    tables = embed_tables(parts.pipeline, parts.data, 64, ["generated"])
    with pytest.raises(ValueError, match="same strengths"):
        Judges(guidance=[1.0]).evaluate(tables, parts.data, torch.Generator())

"""The learnable augmenters: golden cases, tables, and what they refuse."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from contrast_core.embeddings import Embeddings
from contrast_recommendation.augmenters import LearnableAugmenters

KINDS = {"mlp": "mlp", "attention": "attention", "cnn": "convolution"}


def load(augmenter: torch.nn.Module, case: dict, prefix: str) -> None:
    """Golden weights: the layers that the authors call dense_1, dense_2, ..., conv_1, ..."""
    state = {}
    for name, value in case.items():
        if name.startswith(prefix):
            layer, kind = name.removeprefix(prefix).split(".")
            what, number = layer.split("_")
            state[f"{ {'dense': 'dense', 'conv': 'convolutions'}[what] }.{int(number) - 1}.{kind}"] = value
    augmenter.load_state_dict(state)


@pytest.mark.parametrize("function", KINDS)
def test_golden_augmenters(golden, rows, function):
    """Forward and gradients of the three kinds, as the authors' code has them."""
    for case in golden(f"augmenter_{function}"):
        hidden = case["meta"]["params"]["layers"][1:-1]
        view = LearnableAugmenters(views=("one",), kind=KINDS[function], hidden=hidden)
        table = rows(case["in_x"])
        view.prepare({"one": table})
        view.double()
        load(view.augmenters[0], case, "in_w__")
        z = view({"one": table})["one-augmented"].z
        torch.testing.assert_close(z, case["out_z"], rtol=1e-10, atol=1e-12)
        (z * case["in_cotangent"]).sum().backward()
        torch.testing.assert_close(table.z.grad, case["grad_x"], rtol=1e-9, atol=1e-12)
        for name, parameter in view.augmenters[0].named_parameters():
            what, number, kind = name.split(".")
            golden_name = f"grad_w__{ {'dense': 'dense', 'convolutions': 'conv'}[what] }_{int(number) + 1}.{kind}"
            torch.testing.assert_close(parameter.grad, case[golden_name], rtol=1e-9, atol=1e-12)


def tables(n: int = 6, d: int = 5) -> dict[str, Embeddings]:
    """Two encoded views."""
    generator = torch.Generator().manual_seed(0)
    return {
        view: Embeddings.of(torch.randn(n, d, generator=generator), sample=torch.arange(n), target=torch.arange(n))
        for view in ("one", "two")
    }


def test_each_view_has_an_augmenter_of_its_own_unless_shared():
    """Unit rows with the same facts; equal inputs show whose weights they went through."""
    flow = tables()
    flow["two"] = flow["one"]
    for shared in (False, True):
        view = LearnableAugmenters(shared=shared)
        view.prepare(flow)
        found = view(flow)
        assert set(found) | {f"{t}.{c}" for t in found for c in ("z", "sample", "target")} == set(view.gives)
        one, two = found["one-augmented"], found["two-augmented"]
        torch.testing.assert_close(one.z.norm(dim=1), torch.ones(6))
        assert torch.equal(one["target"], flow["one"]["target"])
        assert torch.equal(one.z, two.z) == shared
        widths = [5, 32, 16, 5]
        each = sum(a * b + b for a, b in pairwise(widths))
        assert sum(p.numel() for p in view.parameters()) == each * (1 if shared else 2)


def test_convolution_takes_as_many_rows_as_dimensions():
    """Its channels are the rows of the batch."""
    view = LearnableAugmenters(kind="convolution")
    view.prepare(tables())
    with pytest.raises(ValueError, match=r"as many items as h has dimensions, 5; this one has 6"):
        view(tables())


def test_bad_settings_are_refused():
    """One sentence says what would be right."""
    with pytest.raises(ValueError, match="none twice"):
        LearnableAugmenters(views=("one", "one"))
    with pytest.raises(ValueError, match="at least 1"):
        LearnableAugmenters(hidden=(4, 0))

"""Soft augmentation: the authors' operators with their draws, and the paper's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from contrast_code.augmentation import OPERATORS, Draws, SoftAugmentation
from contrast_core.testing.golden import Case

RELEASED = SoftAugmentation(replaced=0.8, random_words=True, order="round", queries="with-code", types="ids")
THEIRS = {
    "mask": "mask_tokens", "replace": "replace_with_type_tokens",
    "replace-type": "replace_special_token_with_type_tokens", "mask-type": "replace_special_token_with_mask",
}  # fmt: skip
PADDING, MASK, WORDS = -1, 1, 50


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_are_those_of_the_authors_code(
    number: int, operator: str, golden: Callable[[str], list[Case]]
) -> None:
    """Given their draws; the operator on one type replaces a token by itself there."""
    case = golden("soft_augment")[number]
    told, ids = case.meta["params"], case["in_ids"]
    special = torch.isin(ids, torch.tensor([told["cls"], told["pad"], told["sep"], told["mask_id"]]))
    name = THEIRS[operator]
    draws = Draws(
        case[f"in_{name}_bernoulli0"].bool(),
        case[f"in_{name}_bernoulli1"].bool(),
        case[f"in_{name}_bernoulli2"].bool() if operator == "mask" else None,
        case[f"in_{name}_randint0"] if operator == "mask" else None,
    )
    kinds = case["in_type_ids"] if operator == "replace" else ids
    view = SoftAugmentation(types="leaves" if operator == "replace" else "ids")
    flow = {
        "code": ids, "code_kinds": kinds.masked_fill(special, PADDING),
        "mask": torch.tensor(told["mask_id"]), "vocabulary": torch.tensor(told["vocab"]),
    }  # fmt: skip
    made = view.exchanged(operator, flow, "code", draws, int(case["in_specified_id"]))
    assert torch.equal(made, case[f"out_{name}_ids"])


def rows(count: int = 64, length: int = 40) -> dict[str, Tensor]:
    """Rows of words 10 .. 39 of three types, 45 .. 47, whose first token and padding are not text."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(10, 40, (count, length), generator=generator)
    kinds = 45 + torch.randint(3, (count, length), generator=generator)
    ids[:, 0], kinds[:, 0] = 2, PADDING
    ids[:, -5:], kinds[:, -5:] = PADDING, PADDING
    query = {"query": ids, "query_kinds": torch.where(kinds != PADDING, MASK, PADDING)}
    return {"code": ids, "code_kinds": kinds, **query, "mask": torch.tensor(MASK),
            "vocabulary": torch.tensor(WORDS)}  # fmt: skip


@pytest.mark.parametrize("operator", OPERATORS)
def test_each_operator_exchanges_its_share(operator: str) -> None:
    """A nonzero share, near the ratio of what it may touch, and only by what it says."""
    flow = rows()
    made = SoftAugmentation(ratio=0.15).exchanged(operator, flow, "code", kind=46)
    changed = made != flow["code"]
    ordinary = flow["code_kinds"] != PADDING
    touched = ordinary & (flow["code_kinds"] == 46) if operator.endswith("-type") else ordinary
    assert not (changed & ~touched).any()
    assert 0.1 < changed[touched].float().mean() < 0.2
    new = made[changed]
    assert torch.equal(new, torch.full_like(new, MASK) if "mask" in operator else flow["code_kinds"][changed])


def test_released_operators_mostly_change_nothing() -> None:
    """Types are the tokens' own ids there: only masking, every fourth step, does something."""
    flow = rows()
    for operator in OPERATORS[1:3]:
        assert torch.equal(RELEASED.exchanged(operator, flow, "code", kind=46), flow["code"])
    assert not torch.equal(RELEASED.exchanged("mask", flow, "code"), flow["code"])


def test_released_order_is_by_the_step() -> None:
    """s mod 4 = 0 masks code and query; the query is as it was in the other steps."""
    view = SoftAugmentation(order="round", queries="with-code", types="ids", replaced=0.8, random_words=True)
    changed = [not torch.equal(view(rows())["query-augmented"], rows()["query"]) for _ in range(8)]
    assert changed == [False, False, False, True] * 2


def test_all_operators_are_drawn_and_queries_always_masked() -> None:
    """The paper's way."""
    torch.manual_seed(0)
    view, flow = SoftAugmentation(ratio=0.5), rows()
    seen = set()
    for _ in range(40):
        made = view(flow)
        assert (made["query-augmented"] == MASK).any()
        new = made["code-augmented"][made["code-augmented"] != flow["code"]].unique().tolist()
        seen.add(("mask" if new == [MASK] else "kinds", len(new) if new != [MASK] else 0))
    assert {("mask", 0), ("kinds", 3), ("kinds", 1)} <= seen


def test_nothing_is_exchanged_in_evaluation() -> None:
    """And ratio 0 exchanges nothing at all."""
    flow = rows()
    assert SoftAugmentation().eval()(flow)["code-augmented"] is flow["code"]
    assert torch.equal(SoftAugmentation(ratio=0)(flow)["code-augmented"], flow["code"])


@pytest.mark.parametrize("settings", [{"ratio": 1.5}, {"replaced": -1}, {"operators": []}, {"operators": ["mask"] * 2}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    """With what would be right."""
    with pytest.raises(ValueError, match=r"must be (from 0 to 1|some of mask, replace)"):
        SoftAugmentation(**settings)

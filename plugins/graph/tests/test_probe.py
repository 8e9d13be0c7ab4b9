"""The linear probe."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from contrast_graph.probe import classification_metrics, probe


def data(n: int = 120, d: int = 6, classes: int = 3, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Overlapping classes, labelled 1..classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    return torch.tensor(rng.normal(size=(classes, d))[labels] + rng.normal(size=(n, d))), labels + 1


def serial_probe(z, y, split, initial, learning_rate, weight_decay, steps):
    """One probe after the other with nn.Linear and scikit-learn, as the official evaluation does it."""
    results = []
    for weight in initial:
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0]).double()
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.zero_()
        optimiser = torch.optim.Adam(linear.parameters(), lr=learning_rate, weight_decay=weight_decay)
        history = []
        for _ in range(steps):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(linear(z[split[0]]), torch.tensor(y[split[0]])).backward()
            optimiser.step()
            scores = []
            for part in split[1:]:
                logits = linear(z[part]).detach()
                predicted, truth = logits.argmax(1).numpy(), y[part]
                scores += [f1_score(truth, predicted, average=average) for average in ("macro", "micro")]
                scores.append(roc_auc_score(truth, logits.softmax(1).numpy(), multi_class="ovr"))
            history.append(scores)
        table = np.array(history)
        macro, micro = table[:, 0].argmax(), table[:, 1].argmax()
        results.append([table[macro, 3], table[micro, 4], table[micro, 5]])
    return np.array(results)


def test_batched_probe_equals_serial_probes():
    """The same initial weights give the same scores, repeated training indices and weight decay included."""
    z, y = data()
    split = (np.array([*range(25), 0, 3, 3]), np.arange(30, 70), np.arange(70, 120))
    arguments = {"learning_rate": 0.05, "weight_decay": 1e-2, "steps": 25}
    generator = torch.Generator().manual_seed(4)
    bound = np.sqrt(6 / (6 + 3))
    noise = torch.rand(3, 5, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    initial = ((2 * noise - 1) * bound).transpose(0, 1)
    expected = serial_probe(z, y - 1, split, initial, **arguments)
    scores = probe(z, y, {"20": split}, initialisations=5, generator=generator, **arguments)["20"]
    np.testing.assert_allclose([s.mean for s in scores], expected.mean(0), rtol=1e-10)
    np.testing.assert_allclose([s.std for s in scores], expected.std(0), rtol=1e-8, atol=1e-12)


def test_golden_metrics(golden):
    """Macro- and Micro-F1 and AUC of scikit-learn on the authors' call."""
    for case in golden("probe_metrics"):
        macro, micro, auc = classification_metrics(case["in_logits"], case["in_labels"])
        np.testing.assert_allclose(macro, case["out_macro_f1"], rtol=1e-10)
        np.testing.assert_allclose(micro, case["out_micro_f1"], rtol=1e-10)
        np.testing.assert_allclose(auc, case["out_auc_ovr_macro"], rtol=1e-10)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_metrics_equal_sklearn_with_ties(classes):
    """Coarsely rounded logits, so that many scores tie across classes."""
    rng = np.random.default_rng(classes)
    logits, labels = rng.integers(-1, 2, (60, classes)).astype(float), rng.integers(0, classes, 60)
    probability = torch.softmax(torch.tensor(logits), 1).numpy()
    macro, micro, auc = classification_metrics(torch.tensor(logits), labels)
    predicted = logits.argmax(1)
    np.testing.assert_allclose(macro, f1_score(labels, predicted, average="macro"), rtol=1e-12)
    np.testing.assert_allclose(micro, f1_score(labels, predicted, average="micro"), rtol=1e-12)
    own = [roc_auc_score(labels == c, probability[:, c]) for c in range(classes)]
    np.testing.assert_allclose(auc, np.mean(own), rtol=1e-12)


def test_a_class_absent_from_the_test_nodes():
    """Macro-F1 counts it only when predicted, AUC leaves it out; one single class has no AUC."""
    logits = torch.tensor([[2.0, 1, 0], [0, 1, 0], [1, 2, 0], [0, 0, 1]], dtype=torch.float64)
    macro, _, auc = classification_metrics(logits[:3], [0, 1, 0])
    np.testing.assert_allclose(macro, f1_score([0, 1, 0], [0, 1, 1], average="macro"))
    probability = torch.softmax(logits[:3], 1).numpy()
    own = [roc_auc_score(np.array([0, 1, 0]) == c, probability[:, c]) for c in (0, 1)]
    np.testing.assert_allclose(auc, np.mean(own))
    macro, micro, _ = classification_metrics(logits, [0, 1, 0, 0])
    np.testing.assert_allclose(macro, f1_score([0, 1, 0, 0], [0, 1, 1, 2], average="macro"))
    assert micro == 0.5
    assert np.isnan(classification_metrics(logits, [1, 1, 1, 1]).auc)


def test_probe_copes_with_an_absent_class_and_several_splits():
    """Every split has its scores; labels may start at 1 and the test part may lack a class."""
    z, y = data()
    part = np.flatnonzero(y != 3)
    splits = {
        "a": (np.arange(40), np.arange(40, 80), part),
        "b": (np.arange(60), np.arange(60, 90), np.arange(90, 120)),
    }
    scores = probe(z.float(), y, splits, learning_rate=0.1, steps=30, initialisations=3, generator=torch.Generator())
    assert list(scores) == ["a", "b"]
    for score in scores.values():
        assert all(0.4 < spread.mean <= 1 and spread.std >= 0 for spread in score)


def test_bad_input_is_named():
    """Shapes, NaN, empty parts and labels out of range."""
    z, y = data()
    arguments = {"learning_rate": 0.1, "generator": torch.Generator()}
    with pytest.raises(ValueError, match="do not fit"):
        probe(z, y[:-1], {}, **arguments)
    with pytest.raises(ValueError, match="NaN"):
        probe(z * float("nan"), y, {}, **arguments)
    with pytest.raises(ValueError, match="'x' has an empty part"):
        probe(z, y, {"x": ([0, 1], [], [2])}, **arguments)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        classification_metrics(z[:, :2], y)
    with pytest.raises(ValueError, match="do not fit"):
        classification_metrics(z, y[1:])

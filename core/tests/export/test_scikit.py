"""The transformer of scikit-learn."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from contrast_core import ContrastTransformer
from contrast_core.errors import ContrastError
from contrast_core.export import load
from contrast_core.export.folder import write_folder

SHORT = {"training.epochs": 2, "training.threads": 1, "encoder.hidden": [8], "encoder.embedding_size": 5}
SUPERVISED = {
    **SHORT,
    "sampler.views.use": "core/labels",
    "sampler.views.views": ["one", "two"],
    "objective.contrast.use": "core/supcon",
}


def rows() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """178 wines of 13 features, three classes."""
    found = load_wine()
    return found.data, found.target


@parametrize_with_checks([ContrastTransformer(settings=SHORT)])  # type: ignore[untyped-decorator]
def test_it_keeps_the_conventions_of_scikit_learn(estimator: Any, check: Any) -> None:
    """All checks that the library has for a transformer; none is expected to fail."""
    check(estimator)


def test_the_same_seed_gives_the_same_bits() -> None:
    """Another seed others; the global generators are left alone."""
    x, _ = rows()
    before = torch.random.get_rng_state()
    one, two, other = (ContrastTransformer(settings=SHORT, random_state=n).fit_transform(x) for n in (1, 1, 2))
    assert one.dtype == np.float32
    assert one.shape == (178, 5)
    assert np.array_equal(one, two)
    assert not np.allclose(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_rows_are_standardised_by_those_of_fit() -> None:
    """Scaled features train the same embedding; and one row is embedded as among others."""
    x, _ = rows()
    made = ContrastTransformer(settings=SHORT).fit(x)
    scaled = ContrastTransformer(settings=SHORT).fit(x * 1024.0)
    np.testing.assert_allclose(made.transform(x), scaled.transform(x * 1024.0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made.transform(x[7:8]), made.transform(x)[7:8], rtol=1e-5, atol=1e-6)
    raw = ContrastTransformer(settings={**SHORT, "data.standardise": "none"}).fit(x)
    assert not np.allclose(raw.transform(x), made.transform(x))


def test_it_pickles_and_clones() -> None:
    """The copy embeds with the same bits; a clone has the settings and nothing learned."""
    x, _ = rows()
    made = ContrastTransformer(settings=SHORT, random_state=3).fit(x)
    again = pickle.loads(pickle.dumps(made))
    assert np.array_equal(again.transform(x), made.transform(x))
    fresh = clone(made)
    assert fresh.get_params() == made.get_params()
    with pytest.raises(NotFittedError):
        fresh.transform(x)


def test_labels_are_for_recipes_that_need_them() -> None:
    """A supervised recipe brings classes together; without y it says what is missing."""
    x, y = rows()
    settings = {**SUPERVISED, "training.epochs": 30, "training.learning_rate": 0.01}
    z = ContrastTransformer(settings=settings).fit(x, np.array(["red", "white", "rose"])[y]).transform(x)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    alike = y[:, None] == y[None, :]
    cosines = unit @ unit.T
    assert cosines[alike].mean() > cosines[~alike].mean() + 0.5
    for nothing in (None, np.linspace(0.0, 1.0, len(x)) ** 2):
        with pytest.raises(ContrastError, match=r"needs 'one\.label'"):
            ContrastTransformer(settings=settings).fit(x, nothing)


def test_it_works_in_a_pipeline_and_in_cross_validation() -> None:
    """And its columns have names."""
    x, y = rows()
    settings = {**SHORT, "training.epochs": 40, "training.learning_rate": 0.01}
    made = make_pipeline(ContrastTransformer(settings=settings), LogisticRegression())
    assert cross_val_score(made, x, y, cv=3).mean() > 0.8
    names = made.fit(x, y)[:-1].get_feature_names_out()
    assert list(names) == [f"contrasttransformer{number}" for number in range(5)]


def test_the_trained_encoder_is_a_module_that_can_be_written(tmp_path: Any) -> None:
    """Raw features in, the same embedding out."""
    x, _ = rows()
    made = ContrastTransformer(settings=SHORT).fit(x)
    write_folder(made.encoder_, tmp_path / "encoder")
    with torch.no_grad():
        assert np.array_equal(load(tmp_path / "encoder")(torch.from_numpy(x)).numpy(), made.transform(x))


def test_stages_train_one_after_the_other(tmp_path: Any) -> None:
    """Each takes over the weights of the one before; the data of a stage are replaced too."""
    x, _ = rows()
    recipe = tmp_path / "two.toml"
    recipe.write_text(
        '[recipe]\nname = "local/two"\n[data]\nuse = "core/table"\npath = "nothing.csv"\n'
        '[view.augment]\nuse = "core/tensor-views"\nsource = "features"\n'
        '[encoder]\nuse = "core/mlp"\nhidden = [8]\nembedding_size = 5\n[sampler.views]\nuse = "core/two-views"\n'
        '[objective.contrast]\nuse = "core/infonce"\n[evaluation.probe]\nuse = "core/linear-probe"\n'
        "[training]\nepochs = 2\nthreads = 1\n"
        '[[stage]]\nname = "first"\n[[stage]]\nname = "second"\ntraining = {learning_rate = 0.0}\n'
        'data = {use = "core/digits"}\n',
        encoding="utf-8",
    )
    both = ContrastTransformer(recipe=str(recipe)).fit_transform(x)
    first = ContrastTransformer(recipe=str(recipe), settings={"stage": []}).fit_transform(x)
    np.testing.assert_allclose(both, first, rtol=1e-5, atol=1e-6)

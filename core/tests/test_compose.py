"""Parts that do not fit are refused, with both sides named, before anything is read or trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contrast_core.compose import Composition, compose
from contrast_core.errors import ContrastError
from contrast_core.recipe import Recipe, load_recipe, parse_recipe
from contrast_core.registry import Plugin, Registry, discover
from contrast_core.spec import Component, Manifest

PARTS = """
from collections.abc import Mapping, Sequence
from pathlib import Path
from contrast_core.interfaces import Data, Encoder, Evaluator, Objective, View
from contrast_core.similarity import Similarity

class Files(Data):
    gives = ("image", "sample", "embedding.label")
    def __init__(self, path: Path | None = None, more: Sequence[Path] = (), named: Mapping[str, Path | int] = {}):
        self.path, self.more, self.named = path, more, named
    def load(self): ...
    def __len__(self): return 3
    def batch(self, items): return {}

class Many(Objective):
    def __init__(self, similarities: Sequence[Similarity], needed: str = "pairs"):
        super().__init__()
        self.needs, self.similarities = (needed,), similarities
    def forward(self, outputs): ...

class Judge(Evaluator):
    def evaluate(self, tables, data, generator): ...

class Lazy(View):
    gives = ("extra",)
    def __init__(self):
        import no_such_extra
    def forward(self, flow): ...

class Fragile(View):
    def __init__(self, how: str = "runtime"):
        raise {"runtime": RuntimeError("two\\nlines"), "key": KeyError("k"), "silent": OSError()}[how]
    def forward(self, flow): ...

class Unreadable(View):
    def __init__(self, size: "Path.nothing"): ...
    def forward(self, flow): ...

class Untyped(View):
    def __init__(self, size): ...
    def forward(self, flow): ...
"""
COMPONENTS = {
    ("data", "files"): "compose_parts:Files",
    ("objective", "many"): "compose_parts:Many",
    ("evaluator", "judge"): "compose_parts:Judge",
    ("view", "lazy"): "compose_parts:Lazy",
    ("view", "untyped"): "compose_parts:Untyped",
    ("view", "fragile"): "compose_parts:Fragile",
    ("view", "unreadable"): "compose_parts:Unreadable",
    ("view", "wrong"): "compose_parts:Judge",
    ("view", "extra"): "compose_extra:X",
    ("view", "crash"): "compose_crash:X",
    ("view", "lost"): "compose_parts:Lost",
}
BASE = """
[data]
use = "mine/files"
[encoder]
use = "core/mlp"
views = ["image"]
[sampler.pairs]
use = "core/cross"
anchors = "image"
candidates = "image"
[objective.contrast]
use = "core/infonce"
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The installed plugins and one with parts that misbehave."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "compose_parts.py").write_text(PARTS)
    (folder / "compose_extra.py").write_text("import no_such_extra.deep\n")
    (folder / "compose_crash.py").write_text("raise RuntimeError('no\\nlibrary')\n")
    manifest = Manifest(1, [Component(kind, f"mine/{n}", target, "") for (kind, n), target in COMPONENTS.items()])
    mine = Plugin("mine", "contrast-mine", "1", manifest, "", (), 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield Registry([*discover().plugins, mine])


@pytest.fixture
def refused(registry: Registry) -> Any:
    """What is said about BASE with more lines or settings."""

    def message(more: str = "", *settings: str, text: str = BASE) -> str:
        with pytest.raises(ContrastError) as error:
            compose(parse_recipe(text + more, "r.toml", settings), registry)
        return str(error.value)

    return message


def made(registry: Registry, recipe: Recipe | str, *settings: str) -> Composition:
    """The composition of a recipe."""
    return compose(parse_recipe(recipe, "r.toml", settings) if isinstance(recipe, str) else recipe, registry)


def test_a_whole_recipe_is_composed(registry: Registry) -> None:
    """Weights, late views, similarities by name and by table, and an evaluator of the embedding."""
    more = (
        'weight = 2\nsimilarity = {use = "negative-distance", power = 1.0}\n[evaluation.judge]\nuse = "mine/judge"\n'
        '[objective.many]\nuse = "mine/many"\nsimilarities = ["cosine", {use = "core/dot"}]\nweight = 0.5\n'
    )
    found = made(registry, BASE + more)
    assert found.pipeline.weights == {"contrast": 2.0, "many": 0.5}
    assert type(found.pipeline.objectives["contrast"].similarity).__name__ == "NegativeDistance"
    assert [type(s).__name__ for s in found.pipeline.objectives["many"].similarities] == ["Cosine", "Dot"]
    assert list(found.evaluators) == ["judge"]
    short = made(registry, BASE, "objective.contrast.similarity=dot")
    assert type(short.pipeline.objectives["contrast"].similarity).__name__ == "Dot"


@pytest.mark.parametrize(
    ("more", "settings", "sentence"),
    [
        ("", ["encoder.hiden=[3]"], "--set encoder.hiden=[3]: encoder (core/mlp) has no key 'hiden'. Did you mean hid"),
        ("temprature = 1", [], "r.toml, line 13: objective.contrast (core/infonce) has no key 'temprature'. Did you m"),
        ("temperature = 0", [], "r.toml, line 11: objective.contrast (core/infonce): "),
        ("weight = true", [], "r.toml, line 13: 'weight' of objective.contrast must be a number, not true."),
        ("weight = nan", [], "'weight' of objective.contrast must be a number, not nan."),
        ("similarity = 'cosin'", [], "r.toml, line 13: There is no similarity 'cosin'. Did you mean core/cosine"),
        ("similarity = {power = 1}", [], '[objective.contrast.similarity] needs a line use = "domain/name", the name'),
        ("similarity = {use = 'negative-distance', pwer = 1}", [], "has no key 'pwer'. Did you mean power?"),
        ("similarity = 3", [], "'similarity' of objective.contrast (core/infonce) must be Similarity (or left out), n"),
        ("[objective.m]\nuse = 'many'", [], "line 13: objective.m (mine/many) needs the key 'similarities' (a list, e"),
        ("[objective.m]\nuse = 'many'\nsimilarities = [3]", [], "must be Similarity, not 3."),
        ("[objective.m]\nuse = 'many'\nsimilarities = 'dot'", [], "must be a list, each Similarity, not 'dot'."),
        ("[objective.m]\nuse = 'many'\nsimilarities = ['dt']", [], "line 15: There is no similarity 'dt'."),
        ("[view.a]\nuse = 'core/mlp'", [], "r.toml, line 14: There is no view 'core/mlp'."),
        ("[view.a]\nuse = 'lazy'\nafter_encoder = 1", [], "'after_encoder' of view.a must be true or false, not 1."),
        ("[view.a]\nuse = 'lazy'", [], "line 14: mine/lazy needs no_such_extra, which can't be imported: pip install"),
        ("[view.a]\nuse = 'extra'", [], "mine/extra needs no_such_extra, which can't be imported: pip install --upgra"),
        ("[view.a]\nuse = 'crash'", [], "line 14: mine/crash can't be loaded: RuntimeError: no library"),
        ("[view.a]\nuse = 'lost'", [], "line 14: compose_parts has no 'Lost', which mine/lost names as its class."),
        ("[view.a]\nuse = 'wrong'", [], "compose_parts:Judge is registered as a view, mine/wrong, but it is no View."),
        ("[view.a]\nuse = 'untyped'", [], "view.a (mine/untyped): The argument 'size' of Untyped needs a type annotat"),
        ("[view.a]\nuse = 'fragile'", [], "line 13: view.a (mine/fragile) can't be built: RuntimeError: two lines"),
        ("[view.a]\nuse = 'fragile'\nhow = 'key'", [], "view.a (mine/fragile) can't be built: KeyError: 'k'"),
        ("[view.a]\nuse = 'fragile'\nhow = 'silent'", [], "view.a (mine/fragile) can't be built: OSError: no message"),
        ("[view.a]\nuse = 'unreadable'", [], "line 14: view.a (mine/unreadable) can't be read: AttributeError: "),
        ("[view.train]\nuse = 'lazy'", [], "line 13: torch keeps the name 'train' for itself; rename [view.train]."),
        ("[data.x]\n", [], "data (mine/files) has no key 'x'."),
        ("[objective.b]\nuse = 'generation/x'", [], "contrast-generation, which is planned but not published yet."),
        ("", ["encoder.views=['imag']"], "line 4: encoder (core/mlp) needs 'imag', but data (mine/files) gives image,"),
        ("pairs = 'pars'", [], "objective.contrast (core/infonce) needs 'pars', but sampler.pairs (core/cross) gives"),
        ("", ["sampler.pairs.anchors=x"], "line 7: sampler.pairs (core/cross) needs 'x', but encoder (core/mlp) gives"),
        ("[memory.q]\nuse = 'queue'\nsource = 'x'\ndimension = 4\nsize = 4", [], "needs 'x', but encoder (core/mlp) g"),
        ("[memory.image]\nuse = 'queue'\nsource = 'image'\ndimension = 4\nsize = 4", [], "has a name that encoder (co"),
        ("[sampler.b]\nuse = 'cross'\nanchors = 'image'\ncandidates = 'image'", [], "gives 'pairs', but so does sampl"),
        ("[objective.m]\nuse = 'many'\nsimilarities = []\nneeded = 'image.x'", [], "needs 'image.x', but sampler.pair"),
    ],
)  # fmt: skip
def test_what_is_refused(refused: Any, more: str, settings: list[str], sentence: str) -> None:
    """With the place, and both sides of a misfit."""
    found = refused(f"{more}\n", *settings)
    assert sentence in found
    assert "\n" not in found


def test_the_cause_of_a_failed_constructor_stays_with_the_sentence(registry: Registry) -> None:
    """Who wrote the component sees where it failed."""
    with pytest.raises(ContrastError) as error:
        made(registry, f"{BASE}[view.a]\nuse = 'fragile'")
    assert type(error.value.__cause__) is RuntimeError
    assert str(error.value.__cause__) == "two\nlines"


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        ('[data]\nuse = "mine/files"\n', 'r.toml: a recipe needs a section [data] with use = "domain/name".'),
        ('[encoder]\nuse = "core/mlp"\nviews = ["image"]\n', "r.toml: a recipe needs a section [encoder]"),
        ('[objective.contrast]\nuse = "core/infonce"\n', "r.toml: a recipe needs at least one [objective.NAME]."),
    ],
)
def test_what_is_missing(refused: Any, without: str, sentence: str) -> None:
    """Data, an encoder and an objective are the least."""
    assert sentence in refused(text=BASE.replace(without, ""))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe's folder, beside one that is not its own and is linked into it."""
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "own" / "link").symlink_to(tmp_path / "other")
    monkeypatch.chdir(tmp_path / "other")
    return tmp_path / "own"


@pytest.mark.parametrize("path", ["a.csv", "deep/../a.csv", "./a.csv", "OWN/a.csv"])
def test_paths_are_relative_to_the_recipe(registry: Registry, folder: Path, path: str) -> None:
    """Not to where the command was called; the run folder gets them absolute."""
    path = path.replace("OWN", str(folder))
    text = BASE.replace('files"', f'files"\npath = "{path}"\nmore = ["b"]\nnamed = {{c = "d", e = 3}}')
    (folder / "r.toml").write_text(text)
    recipe = load_recipe(folder / "r.toml")
    data: Any = made(registry, recipe).data
    assert (data.path, data.more, data.named) == (folder / "a.csv", (folder / "b",), {"c": folder / "d", "e": 3})
    assert recipe.resolved()["data"]["path"] == str(folder / "a.csv")
    assert recipe.resolved()["data"]["more"] == [str(folder / "b")]
    assert recipe.resolved()["data"]["named"] == {"c": str(folder / "d"), "e": 3}


@pytest.mark.parametrize("path", ["../other/a.csv", "/etc/passwd", "link/a.csv", "a/../../x", ".."])
def test_paths_do_not_leave_the_recipes_folder(registry: Registry, folder: Path, path: str) -> None:
    """Unless the user gives them, alone or within a table; then they are relative to where the user is."""
    for line in (f'path = "{path}"', f'more = ["{path}"]'):
        (folder / "r.toml").write_text(BASE.replace('files"', f'files"\n{line}'))
        key = line.partition(" ")[0]
        with pytest.raises(ContrastError, match=rf"line 4: the path '{path}' leaves the recipe's folder") as error:
            made(registry, load_recipe(folder / "r.toml"))
        assert f"--set data.{key}" in str(error.value)
    for setting in (f"data.path={path}", f"data={{use = 'mine/files', path = '{path}'}}"):
        recipe = load_recipe(folder / "r.toml", [setting, "data.more=[]"])
        data: Any = made(registry, recipe).data
        assert data.path == Path(path).absolute()
        assert recipe.resolved()["data"]["path"] == str(Path(path).absolute())

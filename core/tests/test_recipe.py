"""Recipes: what is read, what is refused and where it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contrast_core.errors import ContrastError
from contrast_core.recipe import Recipe, load_recipe, parse_recipe

TEXT = """\
# A comment with [brackets] and a = sign
[recipe]
name = "mine/first"

[data]
use = "mine/data"
table = [
  [1, 2],
  [3],
]
text = '''
[training]
epochs = "not here"
'''

["view".one]  # quoted
use = "mine/view"
after_encoder = true

[objective.contrast]
use = "mine/loss"
weight = 2
similarity.use = "mine/cosine"
similarity.power = 2

[training]
epochs = 4
"groups" = { slow = { parameters = ["encoder.*"], learning_rate = 0.1 } }
"""
STAGES = """[data]
use = "mine/data"
[objective.a]
use = "mine/loss"
margin = 1
[training]
epochs = 5
steps = 7

[[stage]]
name = "warm"
[stage.training]
epochs = 1

[[stage]]
training = { epochs = 2, steps = "x" }
[stage.objective.a]
use = "mine/other"
[stage.objective.b]
use = "mine/loss"
"""


def message(text: str, *settings: str) -> str:
    """What is said about a recipe when it is read and its training and sections are looked at."""
    with pytest.raises(ContrastError) as error:
        use(parse_recipe(text, "r.toml", settings))
    return str(error.value)


def use(recipe: Recipe) -> None:
    """Look at everything."""
    for _, stage in recipe.stages():
        assert stage.training
        for kind in ("data", "encoder", "step"):
            stage.single(kind)
        for kind in ("view", "memory", "sampler", "objective", "evaluation"):
            stage.named(kind)


def test_a_good_recipe() -> None:
    """Sections, options and the training plan come out as they are written."""
    recipe = parse_recipe(TEXT, "r.toml")
    use(recipe)
    assert recipe.name == "mine/first"
    assert recipe.about("title") == ""
    data = recipe.single("data")
    assert data is not None
    assert (data.path, data.use, data.options["table"]) == ("data", "mine/data", [[1, 2], [3]])
    assert recipe.single("encoder") is None
    assert list(recipe.named("view")) == ["one"]
    assert recipe.named("objective")["contrast"].options["similarity"] == {"use": "mine/cosine", "power": 2}
    assert recipe.training.groups["slow"].parameters == ["encoder.*"]
    assert recipe.stages() == [("", recipe)]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("data", 5), ("data.table", 7), ("data.text", 11), ("view.one", 16), ("view.one.use", 17), ("view.one.x", 16),
        ("objective.contrast.similarity.power", 24), ("training", 26), ("training.epochs", 27),
        ("training.groups.slow.x", 28),
    ],
)  # fmt: skip
def test_lines_are_found_despite_arrays_texts_quotes_and_comments(path: str, line: int) -> None:
    """Or the line of the nearest thing around it."""
    assert parse_recipe(TEXT, "r.toml").source.where(path) == f"r.toml, line {line}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[data", "r.toml is no valid TOML: "),
        ("x = " + "[" * 5000, "r.toml is no valid TOML: "),
        ("[dta]", "r.toml, line 1: a recipe has no section 'dta'. Did you mean data?"),
        ("\ndata = 3", "r.toml, line 2: 'data' must be a table, not 3."),
        ("[[data]]\nuse = 'x'", "r.toml, line 1: 'data' must be a table, not [{'use': 'x'}]."),
        ("[data]\nuse = 3", 'r.toml, line 1: [data] needs a line use = "domain/name".'),
        ("[objective]\nuse = 'x'", "r.toml, line 2: every [objective] has a name of its own: write [objective.NAME]"),
        ("[view.'a.b']\nuse = 'x'", "the name in [view.NAME] is made of letters, digits, - and _, not 'a.b'."),
        ("[view.a]\n", 'r.toml, line 1: [view.a] needs a line use = "domain/name".'),
        ("[recipe]\nnam = 'x'", "r.toml, line 2: [recipe] has no key 'nam'. Did you mean name?"),
        ("[recipe]\nname = 3", "r.toml, line 2: 'name' of [recipe] must be a text, not 3."),
        ("[training]\nepocs = 3", "r.toml, line 2: [training] has no key 'epocs'. Did you mean epochs"),
        ("[training]\nepochs = '3'", "r.toml, line 2: 'epochs' of [training] must be an integer, not '3'."),
        ("[training]\noptimizer = 'adm'", "'optimizer' of [training] must be one of 'adam', 'adamw', 'sgd', not"),
        ("[training]\nepochs = 0", "r.toml, line 2: [training] epochs must be at least 1, not 0."),
        ("[training]\nsteps = 0", "[training] steps must be at least 1, not 0."),
        ("[training]\nlearning_rate = -1", "[training] learning_rate must be at least 0, not -1.0."),
        ("[training]\nlearning_rate = nan", "'learning_rate' of [training] must be a number, not nan."),
        ("[training]\nclip_norm = 0", "[training] clip_norm must be more than 0, not 0.0."),
        ("[training]\nmomentum = 1", "[training] momentum must be from 0 to below 1, not 1.0."),
        ("[training]\nseed = -1", "[training] seed must be from 0 to 4294967295, not -1."),
        ("[training]\nworkers = -1", "[training] workers must be at least 0, not -1."),
        ("[training]\n[training.groups.a]\nparameters = 'x'", "line 3: 'parameters' of 'groups.a' of [training]"),
        ("[training]\n[training.groups.a]\nx = 1", "r.toml, line 3: 'groups.a' of [training] has no key 'x'."),
        ("[training.groups]\na = 1", "r.toml, line 2: 'groups.a' of [training] must be a table, not 1."),
        ("stage = [1]", "r.toml, line 1: stages are written as tables, each under a line [[stage]]."),
        ("[stage]\nname = 'x'", "stages are written as tables, each under a line [[stage]]."),
        ("[[stage]]\n[stage.traning]", "r.toml, line 2: stage 1 has no section 'traning'. Did you mean training?"),
        ("[[stage]]\n[[stage]]\n[stage.recipe]", "r.toml, line 3: stage 2 has no section 'recipe'."),
        ("[[stage]]\ntraining = 3", "r.toml, line 2: 'training' must be a table, not 3."),
        ("[[stage]]\nname = 3", "r.toml, line 2: the name of stage 1 must be a text, not 3."),
        ("[[stage]]\n[stage.view]\nuse = 'x'", "r.toml, line 3: every [view] has a name of its own"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, sentence: str) -> None:
    """With file, line, and what would be right."""
    assert sentence in message(text)


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("training.epochs=5", ("training", "epochs"), 5),
        (" training.epochs = 5 ", ("training", "epochs"), 5),
        ("data.use=mine/other", ("data",), {"use": "mine/other"}),
        ("data.use=mine/data", ("data", "text"), '[training]\nepochs = "not here"\n'),
        ("data.path=a b/c=d.csv", ("data", "path"), "a b/c=d.csv"),
        ('data.path="2024"', ("data", "path"), "2024"),
        ("data.path=", ("data", "path"), ""),
        ("data.table=[[1], [2.5]]", ("data", "table"), [[1], [2.5]]),
        ("data.table=[1, x]", ("data", "table"), "[1, x]"),
        ("data.shuffle=false", ("data", "shuffle"), False),
        ("sampler.new.use=mine/pairs", ("sampler", "new", "use"), "mine/pairs"),
        ("objective.contrast.use=b", ("objective", "contrast"), {"use": "b", "weight": 2}),
        ("objective.contrast.similarity={use = 'a'}", ("objective", "contrast", "similarity"), {"use": "a"}),
        ("objective.contrast.similarity.use=dot", ("objective", "contrast", "similarity"), {"use": "dot"}),
    ],
)
def test_settings_are_toml_or_plain_text(setting: str, path: tuple[str, ...], value: Any) -> None:
    """Another component starts without the options of the old one, keeping its weight and place."""
    found: Any = parse_recipe(TEXT, "r.toml", [setting]).tree
    for key in path:
        found = found[key]
    assert found == value


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("training.epochs", "--set training.epochs: write section.key=value, for example --set training.epochs=5."),
        ("=5", "--set =5: write section.key=value"),
        ("a..b=5", "--set a..b=5: write section.key=value"),
        ("training=5", "--set training=5: 'training' must be a table, not 5."),
        ("trainin.epochs=5", "'trainin'. Did you mean training?"),
        (
            "training.epochs.x=5",
            "--set training.epochs.x: 'training.epochs' is 4, not a table: set training.epochs itself",
        ),
        ("training.epochs=x", "--set training.epochs=x: 'epochs' of [training] must be an integer, not 'x'."),
        ("training.epochs=-1", "--set training.epochs=-1: [training] epochs must be at least 1, not -1."),
        ("stage.1.training.epochs=1", "--set stage.1.training.epochs: this recipe has no stages."),
    ],
)
def test_malformed_settings(setting: str, sentence: str) -> None:
    """The message shows the setting."""
    assert sentence in message(TEXT, setting)


def test_stages_merge_over_the_recipe() -> None:
    """Another component drops the options of the old one; what a stage leaves alone stays."""
    text = STAGES.replace(', steps = "x"', "")
    stages = parse_recipe(text, "r.toml").stages()
    assert [name for name, _ in stages] == ["warm", "2"]
    first, second = (stage for _, stage in stages)
    assert (first.training.epochs, first.training.steps, second.training.epochs) == (1, 7, 2)
    assert first.named("objective")["a"].options == {"margin": 1}
    assert second.named("objective")["a"].options == {}
    assert list(second.named("objective")) == ["a", "b"]
    assert first.source.where("training.epochs") == "r.toml, line 13"
    assert first.source.where("training.steps") == "r.toml, line 8"
    assert "r.toml, line 16: 'steps' of [training] must be an integer" in message(STAGES)


def test_settings_are_stronger_than_every_stage() -> None:
    """A key that stages write too is set in them; a number names one stage."""
    text = STAGES.replace(', steps = "x"', "")
    both = parse_recipe(text, "r.toml", ["training.epochs=9", "objective.b.use=mine/third"]).stages()
    assert [stage.training.epochs for _, stage in both] == [9, 9]
    assert [stage.named("objective")["b"].use for _, stage in both] == ["mine/third"] * 2
    one = parse_recipe(text, "r.toml", ["stage.2.training.epochs=0"])
    assert one.stages()[0][1].training.epochs == 1
    with pytest.raises(ContrastError, match=r"--set training.epochs=0: \[training\] epochs must be at least 1"):
        assert one.stages()[1][1].training
    for setting in ("stage.3.training.epochs=1", "stage.x.training.epochs=1"):
        assert "a stage is named by its number, from 1 to 2." in message(text, setting)
    assert "write the whole key" in message(text, "stage.1=3")


def test_reading_files(tmp_path: Path) -> None:
    """A byte order mark is allowed; what is missing, a folder or no text is named without its traceback."""
    good = tmp_path / "good.toml"
    good.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert load_recipe(good).name == "mine/first"
    assert load_recipe(good).folder == tmp_path
    assert load_recipe(good, trusted=True).folder is None
    (tmp_path / "latin.toml").write_bytes(b"# \xe4")
    (tmp_path / "empty.toml").write_text("")
    assert load_recipe(tmp_path / "empty.toml").name == "unnamed"
    assert load_recipe(tmp_path / "empty.toml").training.epochs == 10
    for name, reason in (("latin.toml", "it is no text in UTF-8"), ("x.toml", "No such file"), (".", "Is a directory")):
        with pytest.raises(ContrastError, match=f"can't be read: {reason}"):
            load_recipe(tmp_path / name)

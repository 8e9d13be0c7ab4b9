"""Objectives: exact, finite, blind to the order of rows, and the same however they are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from attrs import evolve
from torch import Tensor, nn

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Encoder, Outputs, Term
from contrast_core.pipeline import PartError
from contrast_core.relations import dense
from contrast_core.testing.bench import Bench, Ready, close, leaf, left_alone, named, twice
from contrast_core.testing.checks import at_work
from contrast_core.testing.order import reordered
from contrast_core.testing.outcome import Skip, Violation
from contrast_core.testing.reading import Reading
from contrast_core.training.gradient_cache import GradientCache
from contrast_core.training.steps import Ordinary


def _gradients(ready: Ready, loss: Tensor) -> list[Tensor]:
    wanted = [*ready.leaves(), *(p for p in ready.part.parameters() if p.requires_grad)]
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]


@at_work
def terms_are_scalars(bench: Bench) -> None:
    """It gives terms: finite scalars with a gradient, and how many rows they are of."""
    for name, term in bench.ready().terms().items():
        what = f"The term '{name}'" if name else "Its term"
        if not isinstance(term, Term):
            raise Violation(f"It must give a Term, or Terms by name, not {type(term).__name__}.")
        if not isinstance(term.value, Tensor) or term.value.dim() != 0:
            raise Violation(f"{what} must have a scalar tensor as its value.")
        if not bool(term.value.isfinite()):
            raise Violation(f"{what} is {term.value.item()} on ordinary rows.")
        if term.rows < 0 or term.dropped < 0:
            raise Violation(f"{what} counts {term.rows} rows and {term.dropped} dropped ones.")


@at_work
def gradient_flows(bench: Bench) -> None:
    """Its gradient reaches the rows and is finite."""
    ready = bench.ready()
    loss = ready.loss()
    if not loss.requires_grad:
        raise Violation("Its value has no gradient: was something detached, or computed outside of torch?")
    found = _gradients(ready, loss)
    if not all(bool(g.isfinite().all()) for g in found):
        raise Violation("Its gradient is NaN or infinite on ordinary rows.")
    if not any(bool(g.any()) for g in found):
        raise Violation("Its gradient is zero everywhere on ordinary rows.")


@at_work
def reads_what_it_needs(bench: Bench) -> None:
    """What it reads of tables, pairs and batch is declared in `needs`."""
    ready = bench.ready()
    outputs = ready.outputs()
    read = Reading()
    seen = Outputs(*(read.watching(part) for part in (outputs.tables, outputs.pairs, outputs.batch)))
    ready.part(seen)
    read.check(ready.part.needs)


@at_work
def leaves_its_input_alone(bench: Bench) -> None:
    """It changes no row, no column and none of its parameters in place."""
    ready = bench.ready()
    outputs = ready.outputs({name: table.detach() for name, table in ready.tables.items()})
    own = dict(ready.part.named_parameters())
    kinds = {name: parameter.dtype for name, parameter in own.items()}
    with left_alone({**outputs.tables, **own}):
        ready.part(outputs)
    if kinds != {name: parameter.dtype for name, parameter in ready.part.named_parameters()}:
        raise Violation("It changes the type of its own parameters.")


@at_work
def same_seed_same_value(bench: Bench) -> None:
    """With the same random state it gives the same value."""
    one, two = twice(lambda: bench.ready().loss().detach(), (5, 5))
    if not torch.equal(one, two):
        raise Violation("Twice on the same rows with the same seed it gives two values.")


@at_work
def order_of_rows(bench: Bench) -> None:
    """The order of a batch's items does not matter (unless it declares permutation_invariant = False)."""
    ready = bench.ready()
    if not ready.part.permutation_invariant:
        raise Skip("it declares permutation_invariant = False.")
    one, two = twice(lambda: bench.ready().loss().detach(), (5, 6))
    if not torch.equal(one, two):
        raise Skip("it draws at random.")
    loss = ready.loss()
    expected = _gradients(ready, loss)[: len(ready.leaves())]
    flow, back = reordered(ready.flow)
    tables = {name: leaf(value) for name, value in flow.items() if isinstance(value, Embeddings)}
    batch = reordered(ready.batch)[0]
    again = evolve(bench.ready(), tables=tables, flow={**flow, **tables}, batch=batch)
    found = again.loss()
    close(found.detach(), loss.detach(), "The value depends on the order of the items")
    gradients = torch.autograd.grad(found, again.leaves(), allow_unused=True)
    for wanted, rows, gradient in zip(expected, back, gradients, strict=True):
        moved = torch.zeros_like(wanted) if gradient is None else gradient
        close(moved, wanted[rows], "The gradient depends on the order of the items")


@at_work
def tiles_agree(bench: Bench) -> None:
    """Computed in small tiles it gives the same value and gradient as at once."""
    ready, other = bench.ready(), bench.ready()
    loss = ready.loss()
    rows = max((len(pairs.anchors) for pairs in ready.outputs().pairs.values()), default=0)
    with pairwise.in_tiles(max(5, rows // 4)):
        tiled = other.loss()
        found = _gradients(other, tiled)
    close(tiled.detach(), loss.detach(), "The value in tiles is another than at once")
    for one, two in zip(_gradients(ready, loss), found, strict=True):
        close(two, one, "The gradient in tiles is another than at once")


@at_work
def precision(bench: Bench) -> None:
    """float64 rows give a float64 value, float32 rows nearly the same, bfloat16 rows a finite one."""
    ready = bench.ready()
    exact = ready.loss().detach()
    if exact.dtype != torch.float64:
        raise Violation(f"float64 rows give a value of {exact.dtype}: something is rounded on the way.")
    for kind, tolerance in ((torch.float32, 1e-3), (torch.bfloat16, 0.2)):
        other = bench.ready()
        other.pipeline.float()
        tables = {name: leaf(table, kind) for name, table in other.tables.items()}
        try:
            value = evolve(other, tables=tables).loss().detach()
        except RuntimeError as error:
            raise Violation(f"{kind} rows end in RuntimeError: {' '.join(str(error).split())[:200]}") from error
        close(value, exact, f"The value of {kind} rows is far from that of float64 rows", tolerance)


@at_work
def nothing_to_attract(bench: Bench) -> None:
    """If no row has a positive, or there is one row, it gives a finite value or says in a sentence what it lacks."""
    ready = bench.ready()
    outputs = ready.outputs()
    alone = {
        name: evolve(pairs, positives=dense(torch.zeros(len(pairs.anchors), len(pairs.candidates))))
        for name, pairs in outputs.pairs.items()
    }
    single, none = ({name: t.select(torch.arange(min(n, len(t)))) for name, t in ready.tables.items()} for n in (1, 0))
    cases: dict[str, Callable[[], Mapping[str, Term]]] = {
        "of one item": lambda: ready.terms(single),
        "without items": lambda: ready.terms(none),
    }
    if alone:
        cases["without positives"] = lambda: named(ready.part(evolve(outputs, pairs=alone)))
    for what, make in cases.items():
        try:
            terms = make()
        except (ContrastError, ValueError):
            continue
        except Exception as error:
            raise Violation(f"A batch {what} ends in {type(error).__name__}: {error}") from error
        for term in terms.values():
            if not bool(term.value.isfinite()):
                raise Violation(f"A batch {what} gives {term.value.item()}; leave rows out that have no positive.")


@at_work
def parameters_are_registered(bench: Bench) -> None:
    """Whatever it trains is among its parameters, not hidden in a list, so that it is optimised and saved."""
    part: nn.Module = bench.ready().part
    known = {id(parameter) for parameter in part.parameters()}
    for module in part.modules():
        for name, value in vars(module).items():
            listed = value.values() if isinstance(value, dict) else value
            for each in () if name.startswith("_") else listed if isinstance(value, dict | list | tuple) else [value]:
                if isinstance(each, Tensor) and each.requires_grad and id(each) not in known:
                    raise Violation(f"Its attribute '{name}' holds a tensor that wants a gradient and is no parameter.")
                if isinstance(each, nn.Module) and any(id(p) not in known for p in each.parameters()):
                    raise Violation(f"Its attribute '{name}' holds a module that is not registered: use a ModuleList.")


@at_work
def holds_no_model(bench: Bench) -> None:
    """It holds and calls no encoder, so that gradient caching and distribution work."""
    part: nn.Module = bench.ready().part
    if any(isinstance(module, Encoder) for module in part.modules()):
        raise Violation("It holds an encoder; an objective sees tables, pairs and the batch alone.")


@at_work
def gradient_cache_agrees(bench: Bench) -> None:
    """With the step core/gradient-cache the parameters' gradient is that of the full batch."""
    from contrast_core.testing.checks.state import trainer

    if bench.data().whole:
        raise Skip("its batch is always the whole data set.")
    found = []
    for step in (Ordinary(), GradientCache(chunk=7)):
        composition, _ = bench.composition()
        pipeline = composition.pipeline
        if not pipeline.encoder.independent_rows:
            raise Skip("its encoder declares independent_rows = False.")
        context = trainer(composition)
        pipeline.eval()
        try:
            step.run(context, bench.batch())
        except PartError as error:
            raise Skip(f"the recipe's pairs are none in evaluation mode: {error}") from error
        except ContrastError as error:
            if "can't be cut in chunks" in str(error) or "nothing can be learned" in str(error):
                raise Skip(str(error)) from error
            raise
        found.append({name: p.grad for name, p in pipeline.named_parameters() if p.grad is not None})
    largest = max(float(gradient.abs().max()) for gradient in found[0].values())
    for name, expected in found[0].items():
        if name not in found[1]:
            raise Violation(f"With the gradient cache, {name} gets no gradient.")
        close(found[1][name], expected, f"The gradient cache gives {name} another gradient", 1e-3, largest)


@at_work
def processes_agree(bench: Bench) -> None:
    """In two processes, each with a share of the rows, it gives the value and gradient of one."""
    from contrast_core.testing.two_processes import verdict

    verdict(bench)


CHECKS = (
    terms_are_scalars,
    gradient_flows,
    reads_what_it_needs,
    leaves_its_input_alone,
    same_seed_same_value,
    order_of_rows,
    tiles_agree,
    precision,
    nothing_to_attract,
    parameters_are_registered,
    holds_no_model,
    gradient_cache_agrees,
    processes_agree,
)

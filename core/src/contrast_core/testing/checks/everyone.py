"""What holds for every component, as its source and its constructor say."""

from __future__ import annotations

import inspect
import re
from typing import Any, Union, get_args, get_origin

from contrast_core.building import INTERFACES
from contrast_core.describe import describe
from contrast_core.errors import ContrastError
from contrast_core.schema import REQUIRED, Parameter, check, parameters_of
from contrast_core.spec import Component
from contrast_core.testing.checks import of_source
from contrast_core.testing.outcome import Skip, Violation

EQUATION = re.compile(r"\S\s*(=|<-|->|~)\s*\S")
PAPER = re.compile(r"paper|arxiv|doi|source:|\b(19|20)\d\d\b", re.IGNORECASE)
HAVE_EQUATIONS = ("objective", "similarity")


def _loaded(component: Component) -> Any:
    try:
        return component.load()
    except Exception as error:
        raise Skip(f"it can't be loaded: {type(error).__name__}: {error}") from error


@of_source
def loads(component: Component) -> None:
    """Its class can be imported, is of the kind it says, and can be made."""
    try:
        target = component.load()
    except Exception as error:
        raise Violation(f"Loading {component.target} raises {type(error).__name__}: {error}") from error
    interface = next(i for i, kind in INTERFACES.items() if kind == component.kind)
    if inspect.isclass(target) and not issubclass(target, interface):
        raise Violation(f"{component.target} must extend contrast_core.{interface.__name__}.")
    if inspect.isabstract(target):
        missing = ", ".join(sorted(target.__abstractmethods__))
        raise Violation(f"{component.target} does not define {missing}.")


@of_source
def constructor_is_the_schema(component: Component) -> None:
    """Every argument is typed and can be given by keyword, and its default is of its type."""
    target = _loaded(component)
    try:
        parameters = parameters_of(target)
        told = {argument.name for argument in describe(component).arguments}
    except ContrastError as error:
        raise Violation(str(error)) from error
    if told != set(parameters):
        raise Violation(f"Its source shows the arguments {sorted(told)}, but it takes {sorted(parameters)}.")
    for name, parameter in parameters.items():
        if parameter.default is not REQUIRED and not _fits(parameter):
            raise Violation(f"The default of '{name}', {parameter.default!r}, is not of its type {parameter.type}.")


def _fits(parameter: Parameter) -> bool:
    choices = get_args(parameter.type) if get_origin(parameter.type) is not None else (parameter.type,)
    if parameter.default is None:
        return type(None) in choices or parameter.type is Any or parameter.type is type(None)
    if any(inspect.isclass(choice) and choice in INTERFACES for choice in choices):
        return any(inspect.isclass(choice) and isinstance(parameter.default, choice) for choice in choices)
    if get_origin(parameter.type) is Union and any(_fits(Parameter("", c, parameter.default)) for c in choices):
        return True
    value = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
    try:
        check({"x": Parameter("x", parameter.type, REQUIRED)}, {"x": value}, "", str)
    except ContrastError:
        return False
    return True


@of_source
def documented(component: Component) -> None:
    """It says what it does, describes each argument, and names its equation and paper where it has one."""
    told = describe(component)
    # Of the class and of the one whose constructor it has.
    text = told.documentation
    if not text.strip():
        raise Violation(f"{component.target} has no docstring.")
    if text.strip() == component.summary.strip():
        raise Violation(f"The docstring of {component.target} says no more than its summary.")
    for argument in told.arguments:
        if not re.search(rf"\b{re.escape(argument.name)}\b", text):
            raise Violation(f"The docstring of {component.target} does not say what '{argument.name}' is.")
    if component.kind in HAVE_EQUATIONS and not EQUATION.search(text):
        raise Violation(f"The docstring of {component.target} has no equation (a line such as 'L = ...').")
    if component.kind == "objective" and not (component.paper or PAPER.search(text)):
        raise Violation("Neither its manifest nor its docstring names a paper; write 'Paper: none' if there is none.")


CHECKS = (loads, constructor_is_the_schema, documented)

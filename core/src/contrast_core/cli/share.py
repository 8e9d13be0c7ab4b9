"""The command that hands a trained encoder on: export. torch is imported here, not before."""

from __future__ import annotations

from argparse import Namespace


def export(given: Namespace) -> int:
    """contrast export RUN -o PATH [--format FORMAT]."""
    from contrast_core.export import export_run

    module = export_run(given.run, given.output, format=given.format, set=given.settings)
    print(f"{given.output}: {', '.join(module.input_names)} to {module.size} numbers an item")
    return 0

"""What all commands share: the console, exit codes, options, JSON."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

DONE, FAILURES, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes of every command."""

console = Console(stderr=True)
"""Progress and remarks; results go to standard output."""

StoreOption = Annotated[str, typer.Option("--store", help="Folder of the store.")]
RunOption = Annotated[Path, typer.Option("--run", help="Folder of a trained run.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def print_json(facts: object) -> None:
    """Print facts for programs."""
    print(json.dumps(facts, indent=1, default=str))  # noqa: T201 - it is the command's result

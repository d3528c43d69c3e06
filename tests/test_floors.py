"""The floors: who imports whom, what works without torch, and whose names they are."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("catalog", "stores", "pipeline", "training")
WITHOUT_TORCH = """
import importlib.abc
import pkgutil
import sys

BLOCKED = {"torch", "torchvision", "diffusers", "accelerate", "safetensors", "torchmetrics"}


class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not installed")


sys.meta_path.insert(0, Absent())
import catalog, pipeline, stores

for package in (catalog, stores, pipeline):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        __import__(module.name)
import geoloupe

assert geoloupe.PatchStore and geoloupe.load_recipe and geoloupe.make_plan
assert not BLOCKED & {name.split(".")[0] for name in sys.modules}
sys.argv = ["geoloupe", "plan", "--help"]
geoloupe.main()
"""


def _run(*command):
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_floors_import_only_what_lies_below():
    done = _run(Path(sys.executable).with_name("lint-imports"), "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_the_data_half_imports_and_runs_without_torch():
    done = _run(sys.executable, "-W", "error", "-c", WITHOUT_TORCH)
    assert done.returncode == 0, done.stderr
    assert "Moves no pixel" in done.stdout


@pytest.mark.parametrize("name", [*FLOORS, "geoloupe"])
def test_the_generic_names_are_ours(name):
    """A distribution that installs a package of one of these names would shadow it."""
    found = Path(str(importlib.import_module(name).__file__))
    assert found.is_relative_to(ROOT)


def test_folders_without_code_are_no_packages():
    """Docker's and moto's distributions bring a package `docker` of their own."""
    for folder in ("docker", "docs", "tests"):
        assert not list((ROOT / folder).rglob("__init__.py")), folder


def test_every_floor_is_a_typed_package():
    for floor in FLOORS:
        assert (ROOT / floor / "__init__.py").is_file()
        assert (ROOT / floor / "py.typed").is_file()

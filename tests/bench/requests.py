"""What the datasets of the sandbox cost in requests: one JSON line per recipe.

Run it with `make bench-requests`.
"""

import json
import re
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from pipeline.plan import make_plan
from pipeline.recipe import parse_recipe
from pipeline.run import build_store
from pipeline.sandbox.command import World, render_world, serve_world

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
NAMES = ("lssr", "efdiff", "gap", "crops")


def measure(name: str, world: World, place: Path) -> dict[str, object]:
    """Build one dataset in this process and count what was asked of each kind of server."""
    text = (RECIPES / f"{name}-sandbox.toml").read_text()
    text = text.replace("http://127.0.0.1:8765", world.server.url)
    text = text.replace("../../runs/sandbox", str(world.folder))
    recipe = parse_recipe(text, place / f"{name}.toml")
    world.server.forget()
    plan = make_plan(recipe, datetime.now(UTC))
    searches = len(world.server.requests)
    world.server.forget()
    started = time.perf_counter()
    summary = build_store(recipe, place / name, lambda: plan, connect=None)
    seconds = time.perf_counter() - started
    asked = world.server.requests
    methods = Counter(r.method for r in asked if r.path.startswith("/files"))
    return {
        "recipe": name,
        "search_requests": searches,
        "tasks": summary.tasks,
        "samples": len(plan.samples),
        "kept": summary.kept,
        "earth_engine_pixel_requests": sum(
            bool(re.search(r":(getPixels|computePixels)$", r.path)) for r in asked
        ),
        "files_opened": summary.files,
        "range_requests": methods["GET"],
        "head_requests": methods["HEAD"],
        "bytes": sum(r.sent_bytes for r in asked),
        "seconds": round(seconds, 2),
    }


def main() -> None:
    """Measure all recipes on one sandbox, rendered for it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "sandbox"
        render_world(folder)
        with serve_world(folder) as world:
            for name in NAMES:
                sys.stdout.write(json.dumps(measure(name, world, Path(scratch))) + "\n")


if __name__ == "__main__":
    main()

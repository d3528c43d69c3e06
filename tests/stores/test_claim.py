from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from catalog.errors import StoreError
from stores.claim import claim_build, done_tasks, open_claims, read_claim, unfinished_claim
from stores.objects import open_root
from stores.snapshot import publish


def test_of_many_builds_at_once_one_gets_the_number(empty_store, plan_of):
    root, start = open_root(empty_store), Barrier(8)

    def try_to_claim(n):
        start.wait()
        try:
            return claim_build(root, plan_of(range(20)), {"builder": n})
        except StoreError as err:
            return err

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(try_to_claim, range(8)))
    [winner] = [r for r in results if not isinstance(r, StoreError)]
    assert winner.number == 1
    assert [c.meta for c in open_claims(root)] == [winner.meta]
    assert all("unfinished" in str(r) or "another" in str(r) for r in results if r != winner)


def test_a_claim_is_read_back_as_it_was_made(empty_store, plan_of):
    root = open_root(empty_store)
    made = claim_build(root, plan_of(range(20)), {"recipe_hash": "abc", "list": (1, 2)})
    read = read_claim(root, 1)
    assert read.samples.equals(made.samples)
    assert read.meta == made.meta == {"recipe_hash": "abc", "list": [1, 2]}
    assert (read.first_shard, read.n_tasks) == (0, 3)


def test_every_sample_with_a_task_has_a_slot_of_its_own(empty_store, plan_of):
    claim = claim_build(open_root(empty_store), plan_of(range(20)), {})
    rows = claim.samples.to_pylist()
    placed = [r for r in rows if r["task"] >= 0]
    assert all(r["slot"] == r["shard"] * 64 + r["position"] for r in placed)
    assert len({r["slot"] for r in placed}) == len(placed) == 18
    assert {(r["shard"], r["slot"]) for r in rows if r["task"] < 0} == {(-1, -1)}
    assert claim.planned_rejects()["reason"].to_pylist() == ["no scene in window"] * 2
    assert claim.task_samples(1)["position"].to_pylist() == list(range(6))


def test_a_later_claim_never_uses_the_shards_of_an_earlier_one(empty_store, build, plan_of):
    root = open_root(empty_store)
    publish(root, build(empty_store, range(20)))
    claim = claim_build(root, plan_of(range(20, 30)), {})
    assert (claim.number, claim.first_shard, claim.n_tasks) == (2, 3, 2)


def test_a_second_build_is_refused_until_the_first_is_published(empty_store, build, plan_of):
    root = open_root(empty_store)
    assert unfinished_claim(root) is None
    claim = build(empty_store, range(8))
    with pytest.raises(StoreError, match="claim 1, 2 of 2 tasks done; finish it"):
        claim_build(root, plan_of(range(4)), {})
    assert unfinished_claim(root).number == 1
    publish(root, claim)
    assert unfinished_claim(root) is None


def test_done_tasks_are_those_with_a_part(empty_store, build_task, plan_of):
    root = open_root(empty_store)
    claim = claim_build(root, plan_of(range(20)), {})
    assert done_tasks(root, claim) == set()
    build_task(root, claim, 2)
    build_task(root, claim, 0)
    assert done_tasks(root, claim) == {0, 2}


def set_column(plan, name, values):
    return plan.set_column(plan.schema.get_field_index(name), name, values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.drop_columns(["month"]), r"lacks the columns \['month'\]"),
        (lambda p: p.append_column("slot", p["task"]), r"columns \['slot'\].*leave them out"),
        (lambda p: set_column(p, "task", pc.add(p["task"], 2)), "count from 0 without a gap"),
        (lambda p: set_column(p, "position", pc.add(p["position"], 60)), r"0\.\.63"),
        (lambda p: set_column(p, "position", pc.multiply(p["position"], 0)), "one position"),
        (lambda p: pa.concat_tables([p, p.filter(pc.less(p["task"], 0))]), "each sample once"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(empty_store, plan_of, change, message):
    root = open_root(empty_store)
    with pytest.raises(StoreError, match=message):
        claim_build(root, change(plan_of(range(20))), {})
    assert open_claims(root) == []


def test_a_plan_may_have_columns_of_its_own(empty_store, plan_of):
    plan = plan_of(range(4)).append_column("pass_key", pa.array(["a", "b", "c", "d"]))
    claim = claim_build(open_root(empty_store), plan, {})
    assert claim.samples["pass_key"].to_pylist() == ["a", "b", "c", "d"]

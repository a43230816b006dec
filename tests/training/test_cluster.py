"""Who the workers are, and mistakes in TF_CONFIG."""

from __future__ import annotations

import json
import socket

import pytest

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.cluster import Cluster, read_cluster
from bert_keras3.training.devices import Devices, check_not_distributed


def config(jobs, kind="worker", index=0):
    task = {"type": kind, "index": index}
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": task})}


def test_a_worker_knows_its_place():
    cluster = read_cluster(config({"worker": ["a:1", "b:2"]}, index=1))
    assert cluster == Cluster(("a:1", "b:2"), 1)
    assert not cluster.is_chief
    assert cluster.name_of(0) == "worker 0 (a:1, the chief)"
    assert read_cluster({"TF_CONFIG": cluster.to_json()}) == cluster


def test_a_chief_of_its_own_is_the_first_worker():
    jobs = {"chief": ["a:1"], "worker": ["b:2", "c:3"]}
    assert read_cluster(config(jobs, "chief")).is_chief
    assert read_cluster(config(jobs, "worker", 1)).index == 2


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, r"has no TF_CONFIG.*start_workers.py --num_workers=2"),
        ({"TF_CONFIG": "{"}, "is no JSON"),
        ({"TF_CONFIG": "[]"}, "lacks `cluster` or `task`"),
        ({"TF_CONFIG": '{"cluster": {}}'}, "lacks `cluster` or `task`"),
        (config({"worker": ["a:1"], "ps": ["b:2"]}), "other than `chief`"),
        (config({"worker": ["a:1"]}, "ps"), "other than `chief`"),
        (config({"worker": ["a:1"]}, index=1), "has no worker number 1"),
        (config({"worker": ["a:1"]}, index="0"), "has no worker number '0'"),
        (config({"worker": ["a"]}), "address 'a', not host:port"),
        (config({"worker": ["a:0"]}), "address 'a:0', not host:port"),
        (config({"worker": ["a:1", "a:1"]}), "an address twice"),
    ],
)
def test_what_can_be_wrong_with_it(environment, message):
    with pytest.raises(UserError, match=message):
        read_cluster(environment)


def test_who_does_not_answer():
    with socket.socket() as listening, socket.socket() as closed:
        for one in (listening, closed):
            one.bind(("localhost", 0))
        listening.listen()
        addresses = tuple(
            f"localhost:{one.getsockname()[1]}" for one in (listening, closed)
        )
        cluster = Cluster(("localhost:1", *addresses), 0)
        assert cluster.unreachable() == [2]


class TwoDevices(Devices):
    count = 2


@pytest.mark.parametrize(
    ("batch_size", "parts", "message"),
    [
        (9, 1, "train_batch_size=9: is shared out among 2 devices; give a"),
        (8, 5, "each of 2 devices has 4 of the --train_batch_size=8"),
    ],
)
def test_a_batch_that_cannot_be_shared_out(batch_size, parts, message):
    with pytest.raises(UserError, match=message):
        TwoDevices().check(batch_size, parts)
    TwoDevices().check(8, 4)
    Devices().check(batch_size, parts)


def test_nothing_is_shared_out_where_nothing_is_trained():
    check_not_distributed("off")
    with pytest.raises(
        UserError, match=r"--distribution=mirrored .* --do_train"
    ):
        check_not_distributed("mirrored")

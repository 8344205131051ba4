"""``prep.load`` under a strategy of TensorFlow whose hosts are processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import prep
from tests.support.storages import free_port

# Each host writes the first sample of each of its images, and the sizes of its batches.
HOST = """
import json, sys
import prep
import tensorflow as tf

output, how = sys.argv[1], sys.argv[2]
strategy = tf.distribute.MultiWorkerMirroredStrategy()
if how == "context":
    dataset = strategy.distribute_datasets_from_function(
        lambda context: prep.load(output, shuffle=True, context=context, batch=4)
    )
else:
    dataset = strategy.experimental_distribute_dataset(prep.load(output, batch=4))
found = []
for images, labels in dataset:
    local = strategy.experimental_local_results(images)
    found.append([image.numpy().tobytes().hex() for part in local for image in part])
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["context", "dataset"])
def test_hosts_in_processes_of_their_own_share_every_record(
    how: str, output_of: Callable[..., Path]
) -> None:
    output = output_of(encoding="raw", size=4)
    expected = [image.tobytes().hex() for image, _ in prep.load(output).as_numpy_iterator()]
    cluster = {"worker": [f"127.0.0.1:{free_port()}" for _ in range(2)]}
    hosts = [
        subprocess.Popen(
            [sys.executable, "-c", HOST, str(output), how],
            env={
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "CUDA_VISIBLE_DEVICES": "",
                "TF_CONFIG": json.dumps(
                    {"cluster": cluster, "task": {"type": "worker", "index": index}}
                ),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for index in range(2)
    ]
    try:
        ended = [host.communicate(timeout=200) for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    for host, (_, errors) in zip(hosts, ended, strict=True):
        assert host.returncode == 0, errors.decode()[-3000:]
    found = [json.loads(out.splitlines()[-1]) for out, _ in ended]
    images = [[image for batch in host for image in batch] for host in found]
    assert Counter(images[0] + images[1]) == Counter(expected)
    assert sorted(map(len, images)) == [5, 6]
    assert all(len(batch) <= 2 for host in found for batch in host)  # half of a batch of 4

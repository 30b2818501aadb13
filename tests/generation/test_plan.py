from dataclasses import replace

import pytest

from synthdata.errors import ConfigError
from synthdata.generation import plan_samples
from synthdata.records import Checkpoint, digest_of
from synthdata.storage import ObjectStore
from tests.builders import ball_set, ball_spec


def test_a_checkpoint_of_another_grid_is_refused(store: ObjectStore) -> None:
    own, other = (ball_set(store, cases=2, shape=shape) for shape in ((1, 8, 8), (1, 12, 8)))
    checkpoint = Checkpoint(
        dataset="balls",
        family="flow",
        config="{}",
        key="x",
        sha256="0",
        size_bytes=1,
        train_key="k",
        code_version="1",
        seen=1,
        parents=(digest_of(own),),
    )
    assert plan_samples(ball_spec(), checkpoint, own, watermark_key=None).cases == 10
    with pytest.raises(ConfigError, match=r"grid is \(1, 12, 8\): train it again"):
        plan_samples(ball_spec(), checkpoint, other, watermark_key=None)
    with pytest.raises(ConfigError, match="another training set"):
        plan_samples(ball_spec(), replace(checkpoint, parents=()), own, watermark_key=None)

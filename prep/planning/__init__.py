"""What a run will do, decided before it does anything.

A plan is a function of the images, the label map and the configuration alone: the same for one
worker and for a thousand.
"""

from prep.planning.facts import OBSTACLE, class_totals, plan_facts
from prep.planning.fingerprint import IMAGES, LABELS, PARTITION, Fingerprint, make_fingerprint
from prep.planning.plan import OutputState, RunPlan, count_classes, make_plan, shuffled
from prep.planning.shards import (
    Partition,
    ShardSpec,
    count_shards,
    default_images_per_shard,
    plan_shards,
)

__all__ = [
    "IMAGES",
    "LABELS",
    "OBSTACLE",
    "PARTITION",
    "Fingerprint",
    "OutputState",
    "Partition",
    "RunPlan",
    "ShardSpec",
    "class_totals",
    "count_classes",
    "count_shards",
    "default_images_per_shard",
    "make_fingerprint",
    "make_plan",
    "plan_facts",
    "plan_shards",
    "shuffled",
]

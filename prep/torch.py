"""Outputs in PyTorch: ``prep.torch.dataset`` and ``prep.torch.sampler``.

It needs torch, and is loaded when it is first used.
"""

from __future__ import annotations

from prep.settings.distribution import install_command

try:
    import torch as _  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"prep.torch needs PyTorch, which is not installed: {install_command('torch')}",
        name=error.name,
    ) from None

from prep.training.pytorch.torch_dataset import TorchImages, dataset
from prep.training.pytorch.torch_sampler import PositionSampler, position, sampler

__all__ = ["PositionSampler", "TorchImages", "dataset", "position", "sampler"]

"""Images that crash the decoder, or keep it busy for ever, cost no more than themselves.

Every image is decoded in the process that writes its shard, which is fast; a decoder that crashes
or hangs then takes that process with it. The next attempt at the shard finds what was left behind,
and decodes in a process of its own: what ends that one, alone, is refused.
"""

from prep.isolation.guarded import GuardedProcessor
from prep.isolation.isolated import IsolatedProcessor

__all__ = ["GuardedProcessor", "IsolatedProcessor"]

"""Files are read before their turn comes, where reading would keep a core waiting.

A disk or a server that answers at once costs nothing: files are read in the thread that uses them.
Where that thread is seen to wait, others read ahead of it, as many as it takes and no more, and
never more than so many bytes. What is read ahead and fails is read again when its turn comes, so
that who reads sees the same errors as without all this, in the same order.
"""

from prep.readahead.depth import Depth, depth_of, forget_depths
from prep.readahead.pool import Pool
from prep.readahead.window import ReadAhead

__all__ = ["Depth", "Pool", "ReadAhead", "depth_of", "forget_depths"]

"""Isolation of images that crash a decoder, hang it or take all memory, at no cost to others.

- ``processors``: processes images in this process, or in a child process once an attempt at the
  same shard has died.
- ``__main__``: that child process.
- ``processing``: processes an image, and turns whatever a codec raises into a refused image.
- ``watchdog``: a timer of the kernel that ends a process whose decoder hangs.

Normally an image pays nothing for this. An attempt at a shard has a temporary file, which bears the
shard's number and is locked as long as its process lives. A decoder that crashes takes the worker
with it; one that hangs is ended by the kernel's timer, because it may hold Python's lock; one that
takes all memory is ended by the nanny or the crew. The next attempt at the shard finds the file and
decodes in a child process, with the same timer and a limit on memory. An image that ends the child
is refused once it has also ended a fresh child, alone; twice, if the child may have been killed
from outside. So a shard costs one worker at most, and whoever kills a worker condemns no image.

The timer only runs in workers that a nanny or a crew starts again. Without one, a hang lasts.
"""

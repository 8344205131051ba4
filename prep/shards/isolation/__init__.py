"""Images that crash a decoder, hang it or take all memory cost no more than themselves.

- ``processors``: processes images in this process, or in a child process once an attempt at the
  same shard has died.
- ``__main__``: that child process.
- ``settle``: turns whatever a codec raises into a refused image.
- ``watchdog``: a timer of the kernel that ends a process whose decoder hangs.
"""

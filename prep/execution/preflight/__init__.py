"""The check of a cluster before work begins: would a run fail there, or lose time?

- ``checks``: waits for workers, carries out the check, and decides whether a run may begin.
- ``software``, ``probes``: functions that processes of the cluster run, to find out facts.
- ``poll``: asks all workers at once, and collects findings.
- ``rules``: from facts to findings, each with a remedy; pure functions.
- ``shared_files``: whether all hosts see the same files.

Nothing here changes the cluster or leaves files behind. A new check is a fact in ``software`` or
``probes``, and a function in ``rules``.
"""

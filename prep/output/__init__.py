"""The output folder: everything that is read and written there beside the records in shards.

- ``layout``: the names of all files. ``findings``: what may be wrong with them.
- ``journal``: an output as a run sees it: begin, clear, remove leftovers. ``plan_file`` reads its
  plan, ``conflicts`` says what keeps a run from taking it.
- ``receipt``: the proof that a shard is committed, and how receipts add up. ``committed``: the
  receipts in an output.
- ``lock``, ``lease``: one run at a time, with locks of the kernel and without.
- ``inventory``: what lies in an output, compared with plan and receipts, for ``prep verify``.
- ``report``: the report of a run. ``index``: where each record is, for readers.

The rules: a shard counts once its receipt is there, which is written after it. What is read from an
output may have been written by others: it is checked like user input, and its size is limited.
Every change says ``within`` which output it is, and follows no link. Another file of an output gets
its name in ``layout``, and its reader or writer here.
"""

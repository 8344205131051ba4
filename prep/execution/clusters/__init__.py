"""Clusters: from a cluster file to a Dask client.

- ``choice``: which cluster is asked for; cheap to import.
- ``spec_file``, ``spec``: a file's profiles, and a profile as a validated value.
- ``cluster_classes``, ``deployments``: the class that a spec names, and how to call it.
- ``connect``: starts or reaches the cluster; ``session`` keeps one between runs.
- ``plugins``: what a client registers with workers, and takes back.
- ``jobqueue``: what becomes of the jobs of a batch system.

An error names the file, the line and the key, and comes before anything is started. Whatever is
started is closed, also after Ctrl-C. A new kind of cluster needs a profile in ``cluster.yaml``; if
its workers do not get Dask's configuration, also a line in ``workarounds.inheriting``.
"""

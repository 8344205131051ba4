"""Smaller operations around a run, each behind a command of its own.

first_steps     before a first run: a configuration, a label map, a demonstration
cluster_check   the check of a cluster
kept_dashboard  a run whose dashboard stays up
split_lists     the splits of a source, saved as a list of its images
estimating      how long a run will take, and how large its output will be
lookup          one record of a shard or of a split; found_record is what is known of it
image_search    images by their names, and where their records are
reindexing      the files for readers, of an output that lacks them
export          the records of an output, in the files of other formats

Paths and URLs come in as the user has typed them. Operations that change the
records of an output belong to the room above.
"""

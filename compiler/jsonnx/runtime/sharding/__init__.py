"""Virtual shards of a distributed training: the workers, their samples and their results."""

"""From a pair, or a complete run, to shards."""

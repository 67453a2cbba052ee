"""From a signal, such as the end of a load, to views that show the newest shards."""

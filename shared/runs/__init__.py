"""The record of a run in the bucket: what it exports, what has become of each table, and who is told."""

"""The command `mirror`, for those who operate the mirror: it publishes our messages, and reads our bucket and datasets."""

"""From one export message to a sealed pair: a data file and its schema file."""

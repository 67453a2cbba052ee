"""From a request to one export message for each of its tables, or one for all that are read in a snapshot."""

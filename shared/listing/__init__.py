"""From a request to one export message for each of its tables."""

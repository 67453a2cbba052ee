"""One adapter for each service. It translates between our words and the service's, and decides nothing."""

"""How `mirror check` proves a deployment: what it looks at, the run of canaries that it follows, and what it removes."""

"""The mirror's rules, and below `gcp` the services that they are applied to."""

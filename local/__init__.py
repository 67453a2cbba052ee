"""The cloud on one machine, for the demo and the tests. Nothing that is deployed imports it."""

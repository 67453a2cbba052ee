"""The mirror's rules, a room for each stage of the pipeline. Here: what every stage may need and that knows no stage."""

"""One adapter per service: they translate (our words in, our errors out) and decide nothing."""

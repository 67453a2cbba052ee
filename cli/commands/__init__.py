"""One module for each command of `mirror`. Heavy libraries are imported when a command needs them."""

"""`make bench`: how close the mirror comes to the limits of the services that it uses, and how other tools compare."""

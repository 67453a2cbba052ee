"""`make bench`: how close the mirror is to the limits of what it works with, beside what people use today."""

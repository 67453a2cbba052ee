"""What travels between the functions, read and written, and how a function hears it. Nothing here knows a stage."""

"""A bucket or a whole database as one file, and such a file into another database."""

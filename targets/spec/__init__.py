"""What is permitted: the specification that legs are held against, as a model to be stepped."""

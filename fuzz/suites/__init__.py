"""Sets of cases that are run on legs as they are: kept ones, and the instruction table."""

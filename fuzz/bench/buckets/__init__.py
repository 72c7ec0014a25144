"""How many buckets one defect makes, where one would be right."""

"""Making a divergent case small: an engine that tries changes, passes that propose them."""

"""What is kept of divergences: schema, migrations, and the store that hides both."""

"""The specification as a leg of its own."""

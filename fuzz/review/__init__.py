"""Two kernels held against each other: what a patch changed, and what that changes for users."""

"""What logs the KVM ioctls of a VMM: a program of its own, which needs no Python where it runs."""

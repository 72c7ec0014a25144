"""A lab guest with a Debian userland, where the `kvm:native` leg runs as on arm64 hardware."""

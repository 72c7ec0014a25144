"""The lab: stock or own arm64 kernels with KVM, booted under QEMU on any x86-64 machine."""

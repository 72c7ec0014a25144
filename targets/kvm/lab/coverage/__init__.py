"""Which blocks of an unmodified kernel a case executes, seen from outside by a QEMU plugin."""

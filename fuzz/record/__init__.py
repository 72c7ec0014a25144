"""What a VMM asked of KVM, from the recorder's log to a case."""

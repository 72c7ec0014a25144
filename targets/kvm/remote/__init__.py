"""A leg of another machine: an agent serves it there, the leg `kvm:tcp=HOST:PORT` uses it here."""

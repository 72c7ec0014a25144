"""Placeholder replaced below."""

from corpus.isa.form import Form

FORMS: tuple[Form, ...] = ()

"""From records to what a template shows. Pure: no database, no request."""

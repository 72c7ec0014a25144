"""The triage database in a browser: thin `pages` ask the store, pure `views` turn records into
values, templates show them. Everything reads without JavaScript; htmx only saves reloads."""

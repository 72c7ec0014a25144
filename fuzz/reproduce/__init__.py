"""Cases as programs and as text for people who do not have this tool."""

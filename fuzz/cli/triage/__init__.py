"""`vcpufuzz triage`: look through what was found, and decide about it.

Commands that run legs import them only when they are called: the others start at once.
"""

from fuzz.cli.triage import decide, files, health, report, rerun
from fuzz.cli.triage.look import triage

for _commands in (decide, rerun, files, health, report):
    for _command in _commands.COMMANDS:
        triage.add_command(_command)

__all__ = ["triage"]

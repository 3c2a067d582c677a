"""The verbs of the `handoff` command, by what they are about."""

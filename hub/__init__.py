"""The web app: where pushes arrive and people look."""

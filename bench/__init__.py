"""How fast it is, and how little it asks for: `python -m bench`, one file a benchmark."""

"""The pure core: models, mapping, rules, blueprints, calendar, planning and merging. No I/O, no clock, no vendor's name."""

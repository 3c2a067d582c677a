"""Stand-ins of the SaaS APIs, with faults on demand: the demo's and the tests' other side. Shares no code with the connectors it judges."""

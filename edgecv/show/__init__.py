"""What a person or a pipe sees: tables, progress, JSON lines. Results to stdout, the rest to stderr."""

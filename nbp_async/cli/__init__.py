"""The command line, one module for each command. Data goes to stdout, messages to stderr."""

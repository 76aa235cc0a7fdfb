"""The command line: one file per command; what is said on stdout is data, on stderr for people."""

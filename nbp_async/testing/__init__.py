"""What tests of code that uses this library need: a fake server, virtual time, a transport."""

"""The client: it chooses the parts and wires them."""

"""Who is asked: endpoints, services, keys, sizes and prices."""

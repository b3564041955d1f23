"""What `make bench-relay` is made of: two relays that look alike, and what is measured of each."""

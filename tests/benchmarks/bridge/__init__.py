"""What `make bench-bridge` is made of: consumers side by side, workflows that only listen, events for both."""

"""What the workflows are made of: small pieces that hold one rule each.

``saga``: what is to be undone. ``gate``: a fact from outside, with a clock. ``entity``: a workflow that lives
long. ``fan_out``: several things at once. ``uninterrupted``: steps that a cancellation does not cut. Examples:
docs/workflows.md, "Building blocks".

Source: 004, "Decision"; design §7.
"""

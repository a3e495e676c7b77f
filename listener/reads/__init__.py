"""What people are told of what is stored. Nothing here writes; `trends` is the door to it."""

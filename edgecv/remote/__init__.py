"""A board across the room: ssh to it, what is copied and installed there, and archives for it."""

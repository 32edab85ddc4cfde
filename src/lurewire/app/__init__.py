"""The core process: builds the rooms, mounts their routes, starts and stops them. Only here are all rooms known."""

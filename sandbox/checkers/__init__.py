"""The checker process of the container: preloaded, untrusted, never holds the channel key."""

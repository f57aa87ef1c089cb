"""The container's checker process: preloaded, untrusted, without the key."""

"""Tables and figures of the sources, rerun: one file each."""

"""Steps on this machine: in this process (inline), or side by side (jobs) as far as there is room."""

"""What is known of a plan while it runs: what is done, what runs and how far inside, and the time left."""

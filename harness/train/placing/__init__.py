"""What a training takes of devices before it runs: files of accelerate, and bytes; a plan loads it."""

"""What a store holds, as people and programs are told of it."""

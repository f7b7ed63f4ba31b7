"""What a replay script is made of: a player and checks that use the standard library only."""

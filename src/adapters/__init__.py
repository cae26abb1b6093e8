"""What reaches out of the world: performers of effects, the store, the clocks and the codec."""

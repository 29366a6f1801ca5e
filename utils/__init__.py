"""What every room uses: BasicSR compatibility, options, images, checkpoints."""

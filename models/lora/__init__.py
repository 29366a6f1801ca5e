"""models.lora."""

"""Image data, models, augmentation and the collaborative trainer."""

"""Training, export, measuring. With engine/torch the only place that imports torch and transformers."""

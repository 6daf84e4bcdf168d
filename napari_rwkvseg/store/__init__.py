"""What is kept on disk: model files, the model library, image formats."""

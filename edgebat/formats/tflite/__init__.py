"""TFLite files, both ways, without TensorFlow."""

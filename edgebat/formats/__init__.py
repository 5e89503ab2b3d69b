"""Foreign model formats: TFLite and ONNX, read with NumPy alone, and C99. All hold the integers of one graph."""

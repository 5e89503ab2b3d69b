"""ONNX files, both ways, without the package onnx."""

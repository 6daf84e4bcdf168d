"""Inference, training and judgement: arrays in, arrays out."""

"""The network: dynamic-scan Vision-RWKV for segmentation."""

"""What plugins share about images: reading, fitting and drawing them, and COCO results."""

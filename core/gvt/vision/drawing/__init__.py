"""Drawing: images with labels, boxes and masks on them, colours of classes, sheets, figures."""

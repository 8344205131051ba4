"""Images in class folders: ``SOURCE/<split>/<class>/*``, or without splits."""

"""The way of one image: bytes → pixels → centre crop → bytes. Only this room calls a codec."""

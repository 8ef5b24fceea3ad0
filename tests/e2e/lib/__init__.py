"""What the end-to-end tests share: processes, a raw client, a scripted origin, a strict metrics parser."""

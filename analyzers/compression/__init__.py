"""Making the smaller model: surgery, healing, export, verification."""

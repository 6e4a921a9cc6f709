"""What the compiler knows of templates without rendering them: their places, the files they name, and what they read."""

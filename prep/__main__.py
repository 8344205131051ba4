"""``python -m prep`` is ``prep``."""

from prep.cli.main import main

if __name__ == "__main__":
    main(prog_name="prep")

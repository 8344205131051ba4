"""Read files before their turn comes, where reading would keep a core waiting."""

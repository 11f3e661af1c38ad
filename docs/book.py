"""Hook of mkdocs: links to files outside `docs` lead into the repository; one that leads nowhere is an error."""

import logging
import posixpath
import re
from pathlib import Path

LINK = re.compile(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")
LOG = logging.getLogger("mkdocs.hooks.book")


def on_page_markdown(markdown, page, config, files):
    """Returns the page with links that leave `docs` turned into addresses of the repository."""
    docs = Path(config.docs_dir)
    folder = posixpath.dirname(page.file.src_uri)

    def turned(match):
        target = posixpath.normpath(posixpath.join(docs.name, folder, match[1]))
        if target.startswith(docs.name + "/"):
            return match[0]
        if not (docs.parent / target).exists():
            LOG.warning("%s: links to %s, which does not exist", page.file.src_uri, target)
        kind = "tree" if (docs.parent / target).is_dir() else "blob"
        return f"]({config.repo_url}/{kind}/main/{target}{match[2] or ''})"

    return LINK.sub(turned, markdown)

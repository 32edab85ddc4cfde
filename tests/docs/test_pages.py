from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from markdown_it import MarkdownIt

from lurewire.cli import main
from lurewire.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
# Names of registries and package indexes, written so that this file does not hold them.
HOSTS = [host.replace("~", ".") for host in ("pypi~org", "pythonhosted~org", "npmjs~org", "npmjs~com", "crates~io")]
TEXT = {
    "",
    ".cfg",
    ".css",
    ".html",
    ".js",
    ".json",
    ".kql",
    ".md",
    ".py",
    ".sh",
    ".svg",
    ".toml",
    ".ts",
    ".txt",
    ".yaml",
    ".yml",
}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def tokens(page: Path) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8")):
        yield token
        yield from token.children or ()


def anchors(page: Path) -> set[str]:
    """The names that headings of `page` have as link targets, and the targets that it sets itself."""
    text = page.read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}
    return slugs | set(re.findall(r"^\((.+)\)=$", text, re.MULTILINE))


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        target = token.attrs.get("href") or token.attrs.get("src")
        if isinstance(target, str):
            yield target


def commands(page: Path) -> Iterator[str]:
    """The lines that a reader would type: `console` blocks after the prompt, `bash` blocks, in-line code."""
    for token in tokens(page):
        if token.type == "fence" and token.info == "console":
            yield from (line.removeprefix("$ ") for line in token.content.splitlines() if line.startswith("$ "))
        elif token.type == "fence" and token.info == "bash":
            yield from token.content.splitlines()
        elif token.type == "code_inline":
            yield token.content


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_is_one_that_there_is(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for line in commands(page):
        for target in re.findall(r"^make ([a-z-]+)", line):
            assert target in targets, line
        for words in re.findall(r"(?:^|\(|bin/)lurewire((?: [a-z]+(?:-[a-z]+)*)* ?(?:--[a-z]+)?)", line):
            command: click.Command = main
            context = click.Context(main)
            for word in words.split():
                if word.startswith("--"):
                    options = [o for parameter in command.params for o in parameter.opts] + ["--help", "--version"]
                    assert word in options, line
                elif isinstance(command, click.Group):
                    found = command.get_command(context, word)
                    assert found is not None, f"no command '{word}': {line}"
                    command = found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_setting_is_one_that_there_is(page: Path) -> None:
    known = {setting.name for setting in SETTINGS}
    rooms = {setting.split(".")[0] for setting in known if "." in setting}
    limits = set(re.findall(r"^\| `([a-z_.]+)`", (ROOT / "docs" / "limits.md").read_text("utf-8"), re.MULTILINE))
    for token in tokens(page):
        found = re.fullmatch(r"([a-z]+)\.[a-z_]+", token.content) if token.type == "code_inline" else None
        if found and found[1] in rooms and not token.content.endswith((".py", ".db", ".log", ".key", ".json", ".md")):
            assert token.content in known | limits


def generators() -> dict[str, Callable[[], str]]:
    pages: dict[str, Callable[[], str]] = runpy.run_path(str(ROOT / "docs" / "_generate.py"))["PAGES"]
    return pages


@pytest.mark.parametrize("page", ["settings.md", "limits.md", "routes.md"])
def test_generated_pages_are_current(page: str) -> None:
    current = generators()[page]()
    assert (ROOT / "docs" / page).read_text("utf-8") == current, "run: python docs/_generate.py"


def test_the_settings_page_has_a_row_for_every_setting() -> None:
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert [s.name for s in SETTINGS if f"\n| `{s.name}` | " not in text] == []


def files() -> Iterator[Path]:
    for top in ROOT.iterdir():
        if top.is_file():
            yield top
        elif top.name in {".ci", "bench", "docs", "requirements", "src", "tests", "tools"}:
            hidden = {"__pycache__", "_build", "node_modules"}
            yield from (f for f in top.rglob("*") if f.is_file() and not hidden & set(f.parts))


def test_no_file_names_a_registry_or_an_index() -> None:
    found = []
    for file in files():
        if file.suffix in TEXT:
            text = file.read_bytes().decode("utf-8", "replace").lower()
            found += [f"{name(file)}: {host}" for host in HOSTS if host in text]
    assert found == []


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(tmp_path / "trees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(tmp_path / "site")], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "<svg" in (ROOT / "docs" / "loop.svg").read_text("utf-8")
    assert (tmp_path / "site" / "_images" / "loop.svg").exists()

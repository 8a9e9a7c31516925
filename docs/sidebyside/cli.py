"""
---
title: Command line
summary: The commands build, serve, check and new.
---

# Command line

`sidebyside` and `python -m sidebyside` are the same. Pages go to a folder, diagnostics to the standard error,
and the exit status says how it went: 0 where all is well, 1 where a page has an error, 2 where the command
itself is wrong.
"""

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from sidebyside import __version__
from sidebyside.discover import printable
from sidebyside.model import Diagnostic
from sidebyside.problem import OutputProblem, Problem, SettingsProblem
from sidebyside.site import Progress, Report, Settings, Site

Command = TypeVar("Command", bound=Callable[..., Any])

# A progress bar that appears for a moment and goes again is noise
SECONDS_BEFORE_PROGRESS = 0.7


class Inventory(click.ParamType):
    """
    ## `ADDRESS=FILE`

    The address may hold equals signs, the file's name seldom does.
    """

    name = "ADDRESS=FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Path]:
        address, equals, file = str(value).rpartition("=")
        if not equals or not address.startswith(("http://", "https://")):
            self.fail(f"{value!r} should look like https://docs.example.org/=objects.inv", param, ctx)
        return address.rstrip("/") + "/", Path(file)


def site_options(command: Command) -> Command:
    """
    ## Options that describe a site, for all commands that need one
    """
    options = [
        click.argument("source", metavar="SRC", type=click.Path()),
        click.option("--title", default="", help="Name of the site. Without one, the title of its first page."),
        click.option(
            "--base-url", default="", metavar="URL", help="Where the site will be; adds canonical links and a sitemap."
        ),
        click.option(
            "--repo-url",
            default="",
            metavar="URL",
            help="Repository of the source, or the source's folder in it, for links to the code.",
        ),
        click.option(
            "--published-in",
            default="",
            metavar="FOLDER",
            help="Folder of the repository that the built site is committed to; adds 'Open in Colab' links.",
        ),
        click.option(
            "--templates",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Templates and assets that take the place of the theme's.",
        ),
        click.option(
            "--beside",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Another folder for the same site, shown as if it lay in SRC. May be repeated.",
        ),
        click.option(
            "--inventory",
            "inventories",
            multiple=True,
            type=Inventory(),
            help="Link names to other documentation, by its objects.inv. May be repeated.",
        ),
        click.option(
            "--analytics", default="", metavar="ID", help="Measurement ID of Google Analytics. Off by default."
        ),
        click.option(
            "--jobs", type=click.IntRange(min=1), metavar="N", help="Processes to use. One per core by default."
        ),
        click.option("--no-cache", is_flag=True, help="Render everything anew."),
        click.option("--strict", is_flag=True, help="Treat warnings as errors."),
        click.option("--quiet", is_flag=True, help="Print nothing but diagnostics."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="sidebyside")
def main() -> None:
    """Show code side by side with its explanation.

    Docstrings and comments of Python modules become prose on the left, the code they explain stands on the right.
    """
    # Syntax trees are many objects at once, none of them in a cycle. Looking for cycles at Python's usual pace
    # would take up to a tenth of the time.
    gc.set_threshold(100_000, 20, 100)


@main.command()
@site_options
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder for the site; 'site' by default.")
def build(source: str, out: Path | None, **options: Any) -> None:
    """Build the site of SRC.

    SRC is a package folder, any folder of Python and Markdown, or one file. One file becomes one HTML page
    with everything inside; for it, --out may name the page.

    What was rendered before is kept in a cache folder of yours, which may be deleted at any moment.
    """
    started = time.perf_counter()
    with _user_errors():
        site = _site(source, options)
        if site.is_single_file:
            target, report = _build_file(site, out)
        else:
            target = out or Path("site")
            with _progress(options["quiet"]) as progress:
                report = site.build(target, progress)
    _print_diagnostics(site, report, source, options["strict"])
    if not options["quiet"]:
        seconds = time.perf_counter() - started
        n_changed = len(report.changed)
        files = "nothing changed" if not n_changed else _count(n_changed, "file") + " written"
        click.echo(
            f"{_summary(report, options['strict'])}, {files} in {seconds:.2f} s → {printable(str(target))}", err=True
        )
    sys.exit(_status(report, options["strict"]))


@main.command()
@site_options
@click.option("--external", is_flag=True, help="List the links that leave the site, and ask each whether it is alive.")
def check(source: str, external: bool, **options: Any) -> None:
    """Check SRC and build nothing.

    Prints every broken link, anchor, formula and image as 'file:line: error: message'.
    """
    with _user_errors():
        site = _site(source, options)
        with _progress(options["quiet"]) as progress:
            report = site.check(progress)
    if external:
        report = replace(report, diagnostics=(*report.diagnostics, *_check_external(site, source)))
    _print_diagnostics(site, report, source, options["strict"])
    if not options["quiet"]:
        click.echo(_summary(report, options["strict"]), err=True)
    sys.exit(_status(report, options["strict"]))


def _check_external(site: Site, source: str) -> list[Diagnostic]:
    """
    ### List the links that leave the site, on the standard output, and report the dead ones
    """
    from sidebyside.check import ask_all
    from sidebyside.links import external_links

    links = external_links(site.pages)
    diagnostics = []
    n_offline = 0
    for answer in ask_all(links):
        n_offline += answer.is_offline
        mark = {True: "alive", False: "dead", None: "unsure"}[answer.is_alive]
        for path, line in links[answer.address]:
            click.echo(f"{_place(site, source, path, line)}: {mark}: {printable(answer.address)}")
            if not answer.is_alive:
                severity: Literal["error", "warning"] = "warning" if answer.is_alive is None else "error"
                message = f"external link: {printable(answer.address)} {answer.text}"
                diagnostics.append(Diagnostic(path, line, message, severity))
    if links and n_offline == len(links):
        message = "no link could be looked up: there seems to be no network here, so external links were not checked"
        return [Diagnostic("", 0, message)]
    return sorted(diagnostics)


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Start a project in DIR.

    Writes two pages, a template that changes one block, and a workflow that publishes the site on GitHub Pages.
    The folder has to be empty, or not there yet.
    """
    from sidebyside.new import create

    with _user_errors():
        files = create(folder)
    for name in files:
        click.echo(printable(str(folder / name)))
    click.echo(
        f"\nNow: sidebyside serve {printable(str(folder / 'pages'))} --templates {printable(str(folder / 'templates'))}"
    )


@main.command()
@site_options
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
def serve(source: str, port: int, **options: Any) -> None:
    """Preview SRC and reload the page on each save.

    Listens on 127.0.0.1 only. If the port is taken, the next free one is used. Ctrl-C ends it.
    """
    # The preview has an address of its own
    options["base_url"] = ""
    with _user_errors():
        site = _site(source, options)
        _serve(site, source, port, options)


def _serve(site: Site, source: str, port: int, options: dict[str, Any]) -> None:
    from sidebyside.serve import Builder, open_server, preview_of, watch

    def on_report(report: Report) -> None:
        _print_diagnostics(site, report, source, options["strict"])
        if not options["quiet"]:
            click.echo(
                f"{_summary(report, options['strict'])}, {_count(len(report.changed), 'file')} written", err=True
            )

    preview = preview_of(site)
    builder = Builder(site, preview, source, on_report)
    stop = threading.Event()
    server = None
    try:
        builder.build()
        # From here on there are threads, and forking processes beside them is unsafe
        site.jobs = 1
        server = open_server(port, preview)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        click.echo(f"Serving {printable(source)} at http://127.0.0.1:{server.server_address[1]}/ (Ctrl-C ends it)")
        watch(builder, stop)
    except KeyboardInterrupt:
        pass
    finally:
        stop.set()
        preview.end()
        if server:
            server.shutdown()


def _site(source: str, options: dict[str, Any]) -> Site:
    settings = Settings(
        title=options["title"],
        base_url=options["base_url"],
        repo_url=options["repo_url"],
        published_in=options["published_in"],
        templates=options["templates"],
        inventories=options["inventories"],
        analytics=options["analytics"],
        beside=options["beside"],
    )
    return Site(source, settings, options["jobs"], use_cache=not options["no_cache"])


def _build_file(site: Site, out: Path | None) -> tuple[Path, Report]:
    """
    ### One file, one page
    """
    name = f"{site.source.stem}.html"
    target = Path(name) if out is None else out if out.suffix == ".html" else out / name
    page, report = site.html()
    data = page.encode("utf-8", "replace")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        temporary.write_bytes(data)
        os.replace(temporary, target)
    except OSError as error:
        raise OutputProblem(f"cannot write {target}: {error.strerror}") from None
    return target, Report(report.n_pages, report.diagnostics, (name,))


@contextmanager
def _user_errors() -> Iterator[None]:
    """
    ### What the user can mend is told in a sentence
    """
    try:
        yield
    except SettingsProblem as problem:
        raise click.UsageError(str(problem)) from None
    except Problem as problem:
        click.secho(f"error: {problem}", fg="red", err=True)
        sys.exit(1)


def _print_diagnostics(site: Site, report: Report, source: str, strict: bool) -> None:
    for each in report.diagnostics:
        severity = "error" if strict else each.severity
        place = _place(site, source, each.path, each.line)
        colour = "red" if severity == "error" else "yellow"
        click.echo(
            f"{click.style(place, bold=True)}: {click.style(severity, fg=colour)}: {printable(each.message)}", err=True
        )


def _place(site: Site, source: str, path: str, line: int) -> str:
    """
    ### `file:line` relative to where the command was called, so that editors find it
    """
    folder, file = site.roots.locate(path)
    if folder != site.roots.main:
        shown = os.path.relpath(file)
    else:
        shown = os.path.join(source if os.path.isdir(source) else os.path.dirname(source), path) if path else source
    return printable(shown) + (f":{line}" if line else "")


def _status(report: Report, strict: bool) -> int:
    return int(bool(report.diagnostics) if strict else report.n_errors > 0)


def _summary(report: Report, strict: bool) -> str:
    n_errors = len(report.diagnostics) if strict else report.n_errors
    n_warnings = len(report.diagnostics) - n_errors
    problems = [_count(n_errors, "error")] if n_errors else []
    problems += [_count(n_warnings, "warning")] if n_warnings else []
    return ", ".join([_count(report.n_pages, "page"), *(problems or ["no problems"])])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """
    ### A progress bar, on a terminal and for long builds only
    """
    if quiet or not sys.stderr.isatty():
        yield lambda step, done, total: None
        return
    started = time.monotonic()
    bar: Any = None
    task: Any = None
    current = ""

    def show(step: str, done: int, total: int) -> None:
        nonlocal bar, task, current
        if time.monotonic() - started < SECONDS_BEFORE_PROGRESS:
            return
        if bar is None:
            bar = _rich_bar()
            bar.start()
        if step != current:
            current = step
            if task is not None:
                bar.remove_task(task)
            task = bar.add_task(step, total=total)
        bar.update(task, completed=done)
        bar.refresh()

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()


def _rich_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # No thread that refreshes: worker processes are forked while the bar is shown
    return Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)

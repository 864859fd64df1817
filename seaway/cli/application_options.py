"""The options of `seaway app create`, by what they are about."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

_SOURCE, _BUILD, _RUN, _HOOKS, _PLACE = "Source", "Build", "Runtime", "Commands around a release", "Place"


class Pack(StrEnum):
    """How the command lets a repository be built."""

    DOCKERFILE = "dockerfile"
    STATIC = "static"


Name = Annotated[str, typer.Argument(metavar="NAME")]
Repo = Annotated[str | None, typer.Option(help="A Git URL.", rich_help_panel=_SOURCE)]
Branch = Annotated[str | None, typer.Option(help="Branch or tag.", rich_help_panel=_SOURCE)]
Commit = Annotated[str | None, typer.Option(help="Stay at this commit.", rich_help_panel=_SOURCE)]
DeployKey = Annotated[
    str | None, typer.Option(help="A key of `seaway key list`, by name or uuid.", rich_help_panel=_SOURCE)
]
Image = Annotated[
    str | None,
    typer.Option(help="Instead of a repository: name:tag or name@sha256:...", rich_help_panel=_SOURCE),
]
BuildPack = Annotated[Pack | None, typer.Option(rich_help_panel=_BUILD)]
Dockerfile = Annotated[
    str | None, typer.Option(help="Its path, such as /Dockerfile.", rich_help_panel=_BUILD)
]
BaseDirectory = Annotated[
    str | None, typer.Option(help="Where in the repository to build.", rich_help_panel=_BUILD)
]
PublishDirectory = Annotated[
    str | None, typer.Option(help="Which folder `static` serves.", rich_help_panel=_BUILD)
]
TargetStage = Annotated[str | None, typer.Option(help="A stage of the Dockerfile.", rich_help_panel=_BUILD)]
SinglePage = Annotated[
    bool, typer.Option("--spa", help="`static`: unknown paths get index.html.", rich_help_panel=_BUILD)
]
OnBuildServer = Annotated[
    bool,
    typer.Option(
        "--build-server", help="On a build server, as soon as there is one.", rich_help_panel=_BUILD
    ),
]
PushTo = Annotated[
    str | None, typer.Option(help="An image in a registry, without a tag.", rich_help_panel=_BUILD)
]
PushTag = Annotated[
    str | None, typer.Option(help="A tag there that follows what serves.", rich_help_panel=_BUILD)
]
Domains = Annotated[
    list[str] | None,
    typer.Option(help="Such as https://example.com/api; may be repeated.", rich_help_panel=_RUN),
]
Port = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Where the application listens.", rich_help_panel=_RUN),
]
HealthPath = Annotated[str | None, typer.Option(help="What must answer 200 to 399.", rich_help_panel=_RUN)]
Replicas = Annotated[int | None, typer.Option(min=1, rich_help_panel=_RUN)]
Memory = Annotated[str | None, typer.Option(help="Such as 512m.", rich_help_panel=_RUN)]
Cpus = Annotated[str | None, typer.Option(help="Such as 0.5.", rich_help_panel=_RUN)]
Variables = Annotated[
    list[str] | None,
    typer.Option(metavar="K=V", help="May be repeated; K alone is taken from here.", rich_help_panel=_RUN),
]
ReleaseCommand = Annotated[
    str | None, typer.Option(help="Once in the new image, such as a migration.", rich_help_panel=_HOOKS)
]
PreDeploy = Annotated[str | None, typer.Option(help="In the old version, before.", rich_help_panel=_HOOKS)]
PostDeploy = Annotated[str | None, typer.Option(help="In the new version, after.", rich_help_panel=_HOOKS)]
ProjectName = Annotated[str, typer.Option(help="Created where it does not exist.", rich_help_panel=_PLACE)]
EnvironmentName = Annotated[
    str, typer.Option(help="Created where it does not exist.", rich_help_panel=_PLACE)
]
Servers = Annotated[
    list[str] | None,
    typer.Option(help="Name, address or uuid; may be repeated; the local one.", rich_help_panel=_PLACE),
]
MinAvailable = Annotated[
    int | None,
    typer.Option(min=1, help="So many servers suffice for a release; else all.", rich_help_panel=_PLACE),
]
Edge = Annotated[
    str | None,
    typer.Option(help="The server that spreads visitors over all of them.", rich_help_panel=_PLACE),
]

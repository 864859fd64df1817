"""What the templates are given: plain values, ready to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class LinkView:
    """Where a text leads."""

    label: str
    url: str


@dataclass(frozen=True)
class StatusView:
    """A state in a word. `tone` is good, bad, busy, idle or unknown; `hint` says more."""

    label: str
    tone: str
    hint: str = ""


@dataclass(frozen=True)
class PlacedLink:
    """A server of an application, or an application on a server; where it lacks what serves it has a mark."""

    label: str
    url: str
    mark: StatusView | None = None


@dataclass(frozen=True)
class FieldView:
    """One field of a form, with what was typed and what is wrong with it."""

    name: str
    label: str
    kind: str = "text"
    value: str = ""
    hint: str = ""
    error: str = ""
    placeholder: str = ""
    options: tuple[tuple[str, str], ...] = ()
    rows: int = 4
    wide: bool = False
    is_code: bool = False
    disabled: bool = False
    required: bool = False
    autofocus: bool = False
    group: str = ""
    is_optional: bool = False
    is_list: bool = False


@dataclass(frozen=True)
class FieldGroup:
    """Fields that belong together."""

    name: str
    title: str
    about: str
    fields: tuple[FieldView, ...]


@dataclass(frozen=True)
class ActionLink:
    """A button of the application page; it leads to the form that asks for confirmation."""

    name: str
    label: str
    is_primary: bool = False
    is_dangerous: bool = False
    shortcut: str = ""


@dataclass(frozen=True)
class ActionForm:
    """What is about to happen, and what may be chosen about it."""

    url: str
    title: str
    button: str
    back_url: str
    explanation: tuple[str, ...] = ()
    fields: tuple[FieldView, ...] = ()
    back_label: str = "Not now"
    is_dangerous: bool = False
    idempotency_key: str = ""
    error: str = ""


@dataclass(frozen=True)
class DeploymentRow:
    """One deployment in a list. `seconds` once it is over, `running_since` until then."""

    id: str
    url: str
    kind_label: str
    status: StatusView
    version: str
    summary: str
    branch: str
    requested_by: str
    at: datetime
    seconds: float | None
    running_since: datetime | None
    is_current: bool = False
    may_cancel: bool = False
    may_roll_back: bool = False


@dataclass(frozen=True)
class DeploymentPage:
    """Some of an application's deployments, newest first."""

    rows: tuple[DeploymentRow, ...]
    total: int
    first: int
    last: int
    newer_url: str = ""
    older_url: str = ""


@dataclass(frozen=True)
class ApplicationRow:
    """One application in the list."""

    id: str
    url: str
    name: str
    place: str
    source: str
    status: StatusView
    links: tuple[LinkView, ...]
    last: DeploymentRow | None


@dataclass(frozen=True)
class ApplicationHead:
    """What every page of an application begins with."""

    id: str
    url: str
    name: str
    status: StatusView
    source: str
    source_url: str
    source_icon: str
    branch: str
    place: str
    servers: tuple[PlacedLink, ...]
    links: tuple[LinkView, ...]
    actions: tuple[ActionLink, ...]


@dataclass(frozen=True)
class ReleaseView:
    """What serves now."""

    url: str
    version_label: str
    version: str
    summary: str
    since: datetime
    replicas: int
    image: str
    image_id: str


@dataclass(frozen=True)
class StepView:
    """One step of the timeline. `server` is empty where there is only one."""

    key: str
    title: str
    server: str
    status: str
    attempt: int
    message: str
    seconds: float | None
    running_since: datetime | None


@dataclass(frozen=True)
class NodeRow:
    """A node of a Swarm, in Docker's words; with `url`, the server that it is."""

    name: str
    role: str
    state: str
    availability: str
    address: str
    url: str = ""


@dataclass(frozen=True)
class ServerRow:
    """One server in the list."""

    id: str
    url: str
    name: str
    address: str
    status: StatusView
    system: str
    engine: str
    applications: int
    tags: tuple[str, ...]


@dataclass(frozen=True)
class ServerStepView:
    """One step of making a server usable; `detail` is evidence, for those who may see it."""

    key: str
    title: str
    status: str
    attempt: int
    message: str
    detail: str
    seconds: float | None
    running_since: datetime | None


@dataclass(frozen=True)
class ServerView:
    """One server on its own page. `authorised_line` is what its user's authorized_keys needs; as long as the
    server `is_closed`, nobody has been let in with it.
    """

    id: str
    url: str
    name: str
    description: str
    address: str
    status: StatusView
    status_message: str
    is_local: bool
    is_bad: bool
    is_alarm: bool
    is_new: bool
    is_closed: bool
    pinned: str
    shown: str
    authorised_line: str
    user: str
    note: str
    facts: tuple[tuple[str, str], ...]
    steps: tuple[ServerStepView, ...]
    progress: str
    may_validate: bool
    may_clean: bool
    may_write: bool


@dataclass(frozen=True)
class KeyView:
    """One private key, without its private part."""

    id: str
    url: str
    name: str
    description: str
    fingerprint: str
    public_key: str
    used_by: tuple[LinkView, ...]


@dataclass(frozen=True)
class RegistryView:
    """One login for a registry, without its password; `place` is whose it is."""

    url: str
    name: str
    host: str
    username: str
    place: str


@dataclass(frozen=True)
class OutcomeView:
    """How a deployment ended, and what to do about it."""

    tone: str
    title: str
    text: str = ""
    advice: str = ""
    detail: str = ""
    links: tuple[LinkView, ...] = ()


@dataclass(frozen=True)
class DeploymentView:
    """One deployment on its own page."""

    id: str
    url: str
    title: str
    status: StatusView
    version: str
    branch: str
    requested_by: str
    trigger: str
    at: datetime
    seconds: float | None
    running_since: datetime | None
    workflow_url: str
    outcome: OutcomeView | None
    steps: tuple[StepView, ...]
    progress: str
    waiting: str
    is_open: bool
    may_cancel: bool
    may_roll_back: bool


@dataclass(frozen=True)
class LogLineView:
    """One line of a log, counted from 1."""

    number: int
    text: str


@dataclass(frozen=True)
class LogBlock:
    """Lines of one step that follow each other."""

    key: str
    heading: str
    attempt: int
    lines: tuple[LogLineView, ...]


@dataclass(frozen=True)
class VariableView:
    """One environment variable; `value` is None while it is masked."""

    id: str
    url: str
    key: str
    value: str | None
    comment: str
    tags: tuple[str, ...]
    may_reveal: bool

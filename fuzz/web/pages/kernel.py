"""What campaigns reached in kernels: legs, parts of the source, functions, blocks."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from db.records import NotFound
from fuzz.report.reached import AreaSeen, FunctionSeen, LegSeen
from fuzz.web.desk import desk_of
from fuzz.web.views import curves


def legs(request: Request) -> Response:
    """Every leg whose kernel is watched."""
    desk = desk_of(request)
    return desk.page(request, "kernel.html", legs=list(enumerate(desk.reached(), 1)))


def leg(request: Request) -> Response:
    """One leg by part of the source, and how far each campaign came."""
    desk = desk_of(request)
    number, found = _leg(request, desk.reached())
    growth = [(one, curves.stairs(one.curve)) for one in reversed(found.growth[-6:])]
    return desk.page(request, "kernel_leg.html", number=number, leg=found, growth=growth)


def area(request: Request) -> Response:
    """The functions of a part of the source."""
    desk = desk_of(request)
    number, found = _leg(request, desk.reached())
    inside = _area(found, request.path_params["area"])
    return desk.page(request, "kernel_area.html", number=number, leg=found, area=inside)


def function(request: Request) -> Response:
    """The blocks of a function, and the cases that first reached them."""
    desk = desk_of(request)
    number, found = _leg(request, desk.reached())
    inside = _area(found, request.query_params.get("area", ""))
    name = request.path_params["function"]
    mine = next((one for one in inside.functions if one.name == name), None)
    if mine is None:
        raise NotFound(f"{inside.name} has no function {name}")
    return desk.page(
        request,
        "kernel_function.html",
        number=number,
        leg=found,
        area=inside,
        function=mine,
        seconds=_seconds(mine),
    )


def _leg(request: Request, found: list[LegSeen]) -> tuple[int, LegSeen]:
    number = request.path_params["number"]
    if not 0 < number <= len(found):
        raise NotFound(f"there is no kernel {number}: {len(found)} are watched")
    return number, found[number - 1]


def _area(leg: LegSeen, name: str) -> AreaSeen:
    found = next((one for one in leg.areas if one.name == name), None)
    if found is None:
        raise NotFound(f"{leg.name} has no part {name}")
    return found


def _seconds(function: FunctionSeen) -> list[float]:
    return [block.after_ms / 1000 for block in function.blocks]

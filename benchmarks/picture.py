"""The picture in README: how many times as fast small functions' Jacobians are as kernels.

python benchmarks/picture.py          # draws docs/images/speed.svg from benchmarks/results
python benchmarks/picture.py --check  # says whether it shows what the files say
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
PICTURE = _ROOT / "docs" / "images" / "speed.svg"
_FILES = {
    "cpu": ("cpu-kernels/large", "float32 32768"),
    "gpu": ("h100-kernels", "float32 524288"),
}
_TITLES = {
    "RoeFlux_1d": "flux of gas dynamics",
    "RobotArm_6DOF": "6-joint robot arm",
    "HumanHeartDipole": "dipole model of the heart",
    "PropaneCombustion": "equilibrium of a flame",
    "EulerFlux": "flux in space",
    "MassAction": "20 species, 30 reactions",
    "PengRobinson": "fugacities (Peng, Robinson)",
    "QuadrotorStep": "a quadrotor's step",
    "Arm": "seven transforms of an arm",
    "VehicleStep": "tyres of a vehicle",
    "TwoLinkTorques": "torques of two links",
    "Reprojection": "a camera",
    "RigidExponential": "rigid motions, SE(3)",
    "OrbitalElements": "orbital elements",
    "NeoHookean": "stress of a solid",
    "Greeks": "Greeks of an option",
    "Smile": "SABR, 16 strikes",
    "PipeNetwork": "network of pipes",
}
_LEFT, _WIDTH, _RIGHT, _TOP, _ROW = 190, 400, 130, 52, 19
_STYLE = """
.page { fill: #fff; stroke: #8884 }
text { font: 12px system-ui, sans-serif; fill: #333 } .quiet { fill: #666 } .title { font-weight: 600 }
line { stroke: #8888; stroke-width: 1 } .cpu { fill: #3f51b5 } .gpu { fill: #d97706 }
.end { text-anchor: end } .middle { text-anchor: middle }
@media (prefers-color-scheme: dark) {
  .page { fill: #161b22 } text { fill: #ddd } .quiet { fill: #aaa }
  .cpu { fill: #9fa8da } .gpu { fill: #fbbf24 } }
"""


def times_as_fast() -> dict[str, dict[str, float]]:
    """For every function and machine the time of JAX's better mode over that of the kernel."""
    found: dict[str, dict[str, float]] = {name: {} for name in _TITLES}
    for machine, (folder, column) in _FILES.items():
        kept = json.loads((_ROOT / "benchmarks" / "results" / folder / "kernels.json").read_text())
        for name in _TITLES:
            run = {way: row["run"] for way, row in kept["table"][column][name]["contenders"].items()}
            found[name][machine] = min(run["jacfwd"], run["jacrev"]) / run["jacve, kernel"]
    return found


def drawn() -> str:
    """The picture, legible on light and on dark pages."""
    rows = sorted(times_as_fast().items(), key=lambda row: -row[1]["cpu"])
    bottom = _TOP + _ROW * len(rows)
    body = [
        '<text class="title" x="8" y="18">Jacobians as one kernel: how many times as fast as the better of '
        "jacfwd and jacrev</text>",
        f'<circle class="cpu" cx="{_LEFT}" cy="35" r="5"/><text class="quiet" x="{_LEFT + 10}" y="39">'
        "two cores of a Xeon, 32,768 inputs</text>",
        f'<circle class="gpu" cx="{_LEFT + 240}" cy="35" r="5"/><text class="quiet" x="{_LEFT + 250}" y="39">'
        "one H100, 524,288 inputs</text>",
    ]
    for tick in (1, 3, 10, 30, 100, 300):
        body.append(f'<line x1="{_x(tick)}" x2="{_x(tick)}" y1="{_TOP}" y2="{bottom}"/>')
        body.append(f'<text class="quiet middle" x="{_x(tick)}" y="{bottom + 16}">{tick}</text>')
    for at, (name, times) in enumerate(rows):
        y = _TOP + _ROW * at + _ROW / 2
        ends = sorted(map(_x, times.values()))
        body.append(f'<text class="end" x="{_LEFT - 12}" y="{y + 4}">{_TITLES[name]}</text>')
        body.append(f'<line x1="{ends[0]}" x2="{ends[1]}" y1="{y}" y2="{y}"/>')
        body += [f'<circle class="{key}" cx="{_x(value)}" cy="{y}" r="5"/>' for key, value in times.items()]
        words = " / ".join(_number(times[key]) for key in _FILES)
        body.append(f'<text class="quiet" x="{_LEFT + _WIDTH + 16}" y="{y + 4}">{words}</text>')
    width, height = _LEFT + _WIDTH + _RIGHT, bottom + 26
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">'
    )
    # Pages may be darker than what the browser prefers: the picture has a ground of its own.
    page = f'<rect class="page" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="6"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", page, *body, "</svg>", ""])


def _x(value: float) -> float:
    return round(_LEFT + _WIDTH * math.log(value) / math.log(300), 1)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def main() -> int:
    if "--check" not in sys.argv:
        PICTURE.write_text(drawn())
    elif PICTURE.read_text() != drawn():
        print(f"{PICTURE} shows other figures than the files: run python benchmarks/picture.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

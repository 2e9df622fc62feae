"""How training scales over machines: what was measured on one, and a model that extends it.

python -m docs.scale_measure    as root, on Linux: measures, and writes docs/scale.json
python -m docs.scale            prints the tables of scale.md
python -m docs.scale --write    writes them into the page, and draws docs/scale.png
"""

import argparse
import json
import math
import re
from pathlib import Path
from statistics import median

import numpy as np

from minivit.files import write_file

from .scale_measure import FIGURES, LINKS, RANKS, SEEN

PAGE, PICTURE = (Path(__file__).with_name(name) for name in ("scale.md", "scale.png"))
MACHINES = (2, 4, 8, 16, 32, 64)
FASTER = {"1 Gbit/s": 1e9, "10 Gbit/s": 1e10}  # links of the tables, in bits a second
IMAGES = (64, 512)  # of a step, on each machine
CORES = 2  # of a machine
WIRE = 1e-4  # seconds of a message, at least, between machines that stand apart
BACKWARD = 2 / 3  # its share of a step: two products for each of the forward's


def traffic(count, size):
    """Messages that a rank sends, one after the other, and the bytes in them.

    Each sends and receives its vector twice, but for the part that it keeps itself, in messages
    between pairs of ranks (Thakur, Rabenseifner and Gropp 2005, "Optimization of collective
    communication operations in MPICH", section 4.5).
    """
    return 2 * math.ceil(math.log2(count)), 2 * (count - 1) / count * size


def sum_seconds(count, size, link):
    """Seconds in which `count` ranks add up vectors of `size` bytes.

    link: (seconds of a message, bytes a second)
    """
    (messages, moved), (latency, speed) = traffic(count, size), link
    return messages * latency + moved / speed


def fitted(figures, link):
    """The (seconds of a message, bytes a second) with which `sum_seconds` is closest to a link."""
    points = [
        (*traffic(int(count), 4 * int(size)), int(size), seconds)
        for count, told in figures["links"][link].items()
        if int(count) in (2, 4)  # of three ranks one goes through another, which takes longer
        for size, seconds in told["sums"].items()
    ]
    latency = median(seconds / messages for messages, _, size, seconds in points if size == 1)
    speed = median(
        moved / (seconds - messages * latency)
        for messages, moved, size, seconds in points
        if size > 2**18
    )
    return latency, speed


def step_seconds(model, images, count, link):
    """Seconds of a step on `count` machines with `images` on each; and of the part of the sum."""
    total = sum_seconds(count, 4 * model["parameters"], link) if count > 1 else 0.0
    return model["image"] * images / CORES + model["update"] + total, total


def efficiency(model, images, count, link):
    """What share of `count` times one machine's images a second so many machines do."""
    return step_seconds(model, images, 1, link)[0] / step_seconds(model, images, count, link)[0]


def tables(figures):
    """The tables of the page, by name."""
    return {
        "machine": f"The machine: {figures['processor']}.",
        "models": models_table(figures), "sums": sums_table(figures), "steps": steps_table(figures),
        "machines": machines_table(figures), "overlap": overlap_table(figures),
        "nonblocking": nonblocking(figures["links"]["1 Gbit/s"]["2"]["overlap"]),
    }  # fmt: skip


def rows(head, lines):
    """A table in Markdown."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [head, marks, *lines])


def models_table(figures):
    lines = [
        (name, f"{each['parameters']:,}", f"{4e-6 * each['parameters']:.1f} MB",
         f"{1e3 * each['image']:.2f} ms", f"{1e3 * each['update']:.1f} ms")
        for name, each in figures["models"].items()
    ]  # fmt: skip
    return rows(
        ["model", "parameters", "gradients", "an image, on one core", "Muon's update"], lines
    )


def sums_table(figures):
    lines = []
    for link in LINKS:
        fit = fitted(figures, link)
        for name, each in figures["models"].items():
            size = each["parameters"]
            measured = [figures["links"][link][str(n)]["sums"][str(size)] for n in RANKS]
            modelled = [sum_seconds(n, 4 * size, fit) for n in RANKS]
            cells = [
                f"{1e3 * a:.1f}, {1e3 * b:.1f}" for a, b in zip(measured, modelled, strict=True)
            ]
            lines.append((f"{name}, {link}", *cells))
    return rows(["ms, measured and modelled", *(f"{n} ranks" for n in RANKS)], lines)


def steps_table(figures):
    lines = []
    for link, by_count in figures["links"].items():
        for name in by_count["2"]["steps"]:
            each = figures["models"][name]
            alone = each["image"] * SEEN[name] + each["update"]
            took = [by_count[str(n)]["steps"][name] for n in RANKS]
            cells = [f"{1e3 * seconds:.0f}" for seconds in took]
            lines.append(
                (f"{name}, {link}", f"{1e3 * alone:.0f}", *cells, f"{alone / took[0]:.0%}")
            )
    counts = ["1 rank", *(f"{n} ranks" for n in RANKS)]
    return rows(["ms a step", *counts, "efficiency of 2"], lines)


def share_of(link, figures):
    """What share of a link's speed the sums reach, and the seconds of a message."""
    latency, speed = fitted(figures, link)
    return 8 * speed / LINKS[link], latency


def links_of(figures):
    """(seconds of a message, bytes a second) of each link in FASTER, as the model takes them."""
    share, latency = share_of("1 Gbit/s", figures)
    latency = max(latency, WIRE)
    return {name: (latency, share * bits / 8) for name, bits in FASTER.items()}


def machines_table(figures):
    lines = []
    for link, figure in links_of(figures).items():
        for name, each in figures["models"].items():
            for images in IMAGES:
                shares = (f"{efficiency(each, images, n, figure):.0%}" for n in MACHINES)
                lines.append((f"{name}, {images} images, {link}", *shares))
    return rows(["efficiency", *(f"{n} machines" for n in MACHINES)], lines)


def overlap_table(figures):
    """What a sum of finished blocks, during the last micro-batch's backward pass, would save."""
    lines = []
    for link, figure in links_of(figures).items():
        for name, each in figures["models"].items():
            cells = []
            for images in IMAGES:
                step, total = step_seconds(each, images, 64, figure)
                last = BACKWARD * each["image"] * min(each["at_once"], images / CORES)
                cells.append(f"{min(total, last) / step:.1%}")
            lines.append((f"{name}, {link}", f"{each['at_once']}", *cells))
    return rows(["64 machines", "micro-batch", "64 images each", "512 images each"], lines)


def nonblocking(seconds):
    """What became of a sum and products that could have overlapped, in words."""
    added, worked, both = (1e3 * seconds[name] for name in ("sum", "work", "both"))
    return (
        f"between two ranks at 1 Gbit/s, the medium model's sum alone takes {added:.0f} ms, and "
        f"products alone {worked:.0f} ms; both together, with `Iallreduce`, {both:.0f} ms."
    )


def read_figures():
    return json.loads(FIGURES.read_text())


def show(write):
    """Print what the figures say, draw the picture, and with --write bring the page up to date."""
    figures = read_figures()
    text = PAGE.read_text(encoding="utf-8") if write else ""
    for name, table in tables(figures).items():
        print(f"\n{name}\n\n{table}")
        mark = rf"(<!-- {name} -->\n).*?(\n<!-- end -->)"
        text = re.sub(
            mark, lambda found, table=table: f"{found[1]}{table}{found[2]}", text, flags=re.S
        )
    for link in LINKS:
        share, latency = share_of(link, figures)
        print(
            f"\n{link}: {share:.0%} of its speed is reached, a message takes {1e3 * latency:.2f} ms"
        )
    if write:
        write_file(PAGE, text.encode())
        write_file(PICTURE, picture(figures))


def picture(figures):
    """Efficiency of 64 machines against the images of each, a line for each model and link."""
    import matplotlib.figure

    from minivit.study import figures as drawing

    figure = matplotlib.figure.Figure(figsize=(8, 3.6), layout="constrained")
    images = 2.0 ** np.arange(3, 13)
    for place, (link, told) in zip(
        figure.subplots(1, 2, sharey=True), links_of(figures).items(), strict=True
    ):
        for name, each in figures["models"].items():
            shares = [100 * efficiency(each, count, 64, told) for count in images]
            place.plot(
                images, shares, marker=".", label=f"{name}, {each['parameters']:,} parameters"
            )
        place.set(
            title=f"64 machines, {link}", xscale="log", xlabel="images of a step on each machine"
        )
        place.set_xticks(images[::2], [f"{count:.0f}" for count in images[::2]])
        place.minorticks_off()
        place.grid(alpha=0.3)
    figure.axes[0].set(ylabel="efficiency, %", ylim=(0, 100))
    figure.axes[1].legend(fontsize=8)
    return drawing.png(figure)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m docs.scale", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables and the picture")
    show(parser.parse_args(argv).write)


if __name__ == "__main__":
    main()

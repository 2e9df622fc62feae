"""Film the explorer's page as a reader uses it: python -m docs.explorer.film

It draws a digit on docs/explorer/index.html in Chromium, follows it forward and backward, lets the
model learn, and writes docs/explorer.gif, and docs/explorer.png with one of the pictures. It needs
`pip install playwright` and a `chromium`.
"""

import io
import shutil
from pathlib import Path

from PIL import Image

from minivit.files import write_file

FOLDER = Path(__file__).parent
SIZE, SHOWN = (1440, 900), (864, 540)
STROKES = [  # of a three, from 0 to 1 across the board
    [(0.3, 0.25), (0.45, 0.17), (0.62, 0.2), (0.68, 0.32), (0.6, 0.44), (0.45, 0.49)],
    [(0.45, 0.49), (0.63, 0.54), (0.7, 0.67), (0.6, 0.82), (0.42, 0.85), (0.28, 0.77)],
]
LINES = ["patches.linear.y", "blocks.0.attn.softmax.y", "blocks.0.mid", "blocks.2.attn.softmax.y",
         "loss.losses", "loss.dlogits", "blocks.3.dmid", "blocks.2.attn.softmax.dx",
         "blocks.0.dx", "patches.dimages"]  # fmt: skip


def main():
    from playwright.sync_api import sync_playwright

    frames = []  # (picture, milliseconds)
    with sync_playwright() as api:
        chromium = shutil.which("chromium")
        browser = api.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=dict(zip(("width", "height"), SIZE, strict=True)))
        page.goto((FOLDER / "index.html").as_uri())
        page.click("#tour-close")

        def shoot(milliseconds):
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize(SHOWN)
            frames.append((picture.quantize(64, dither=Image.Dither.NONE), milliseconds))

        draw(page, shoot)
        page.select_option("#truth", "3")
        for name in LINES:
            page.evaluate(f"update({{ line: net.arrays.get('{name}').line }})")
            page.wait_for_timeout(600)  # until the number is nudged
            shoot(900)
            if name.endswith("softmax.dx"):
                write_file(FOLDER.parent / "explorer.png", page.screenshot())
        page.click("#fresh")
        page.locator("#learn-card").evaluate("card => card.scrollIntoView()")
        page.wait_for_timeout(1500)
        shoot(1500)
        for _ in range(6):
            page.click("#learn-1")
            page.wait_for_timeout(1500)
            shoot(700)
        shoot(2000)
        browser.close()
    film = io.BytesIO()
    (first, _), *others = frames
    first.save(
        film, "GIF", save_all=True, append_images=[picture for picture, _ in others], loop=0,
        duration=[milliseconds for _, milliseconds in frames], optimize=True,
    )  # fmt: skip
    write_file(FOLDER.parent / "explorer.gif", film.getvalue())


def draw(page, shoot):
    """Draw the strokes with the mouse."""
    box = page.locator("#board").bounding_box()
    shoot(800)
    for stroke in STROKES:
        for number, (x, y) in enumerate(stroke):
            place = box["x"] + x * box["width"], box["y"] + y * box["height"]
            page.mouse.move(*place, steps=4)
            if number == 0:
                page.mouse.down()
            shoot(120)
        page.mouse.up()
        page.wait_for_timeout(800)
        shoot(1000)


if __name__ == "__main__":
    main()

"""docs/scale.md shows what its figures give, and the model says what it must."""

import re

import pytest

from docs import scale


@pytest.fixture(scope="module")
def figures():
    return scale.read_figures()


def test_the_page_shows_the_tables_of_the_figures(figures):
    text = scale.PAGE.read_text(encoding="utf-8")
    for name, table in scale.tables(figures).items():
        (shown,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", text, re.S)
        assert shown == table, f"{name}: python -m docs.scale --write"


def test_a_sum_takes_its_messages_and_its_bytes():
    assert scale.sum_seconds(2, 1000, (0.5, 100)) == 2 * 0.5 + 10
    assert scale.sum_seconds(4, 1000, (0.5, 100)) == 4 * 0.5 + 15
    assert scale.sum_seconds(64, 6400, (0.5, 100)) == 12 * 0.5 + 126


def test_the_fit_finds_the_link_of_made_up_figures():
    link = 0.003, 1e7
    sums = {
        str(count): {
            "sums": {
                str(size): scale.sum_seconds(count, 4 * size, link) for size in (1, 1000, 1000000)
            }
        }
        for count in (2, 3, 4)
    }
    latency, speed = scale.fitted({"links": {"made up": sums}}, "made up")
    assert latency == pytest.approx(0.003, rel=1e-3)
    assert speed == pytest.approx(1e7, rel=1e-5)


def test_more_images_help_and_more_machines_cost(figures):
    each = figures["models"]["small"]
    link = 1e-4, 1e8
    by_images = [scale.efficiency(each, images, 64, link) for images in (8, 64, 512)]
    by_machines = [scale.efficiency(each, 64, count, link) for count in (1, 2, 64)]
    assert by_images == sorted(by_images)
    assert by_machines == sorted(by_machines, reverse=True)
    assert by_machines[0] == 1
    assert min(by_images + by_machines) > 0

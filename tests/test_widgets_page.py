"""Pictures on a page: one file for light and dark, never wider than the page, with words for who cannot see it."""

import base64

from pfa_edu.plots.on_page import picture_html
from pfa_edu.plots.style import Figure


def test_a_figure_is_shown_in_the_pages_theme_and_kept_as_a_png():
    figure = Figure(figsize=(4, 3))
    figure.suptitle("Accuracy < 100 %")
    data, metadata = figure._repr_mimebundle_()
    assert set(data) == {"text/html", "image/png"}
    assert metadata["image/png"] == {"width": 320, "height": 240}
    assert base64.b64encode(data["image/png"]).decode() in data["text/html"]
    assert 'alt="Accuracy &lt; 100 %"' in data["text/html"]
    assert 'width="320"' in data["text/html"]


def test_the_style_of_a_picture():
    page = picture_html(b"png", 640, "a picture")
    style, image = page.split("</style>")
    assert 'body[data-jp-theme-light="false"]' in style
    assert "invert(1)" in style
    assert "max-width: 100%; height: auto" in image, "its shape is kept in a narrow cell"

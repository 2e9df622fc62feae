"""What to look at after a model's test: the confusion matrix as text, and pictures."""

import numpy as np

from ..files import write_file
from ..training.metrics import confusion_matrix
from . import figures


def confusion_table(labels, logits, classes):
    """The confusion matrix as text: a row for each label, a column for each prediction."""
    confusion = confusion_matrix(labels, logits.argmax(axis=-1), len(classes))
    names = [name[:8] for name in classes]
    width = max(len(str(confusion.max())), *map(len, names)) + 2
    rows = zip(["", *names], [names, *confusion], strict=True)
    return "\n".join(
        f"{name:>{width}}" + "".join(f"{count:>{width}}" for count in row) for name, row in rows
    )


def draw_test(folder, classifier, test, logits):
    """Write mistakes.png, and gradients.png (attention and gradients of a few), into a folder."""
    images, labels = test
    sheet = figures.worst_mistakes(images, labels, logits, classifier.classes)
    write_file(folder / "mistakes.png", figures.png(sheet))
    firsts = np.sort(np.unique(labels, return_index=True)[1])  # the first image of each class
    few = np.concatenate([firsts[:3], figures.mistakes_by_loss(labels, logits)[:2]])
    sheet = figures.attention_and_gradients(classifier, images[few], labels[few])
    write_file(folder / "gradients.png", figures.png(sheet))

"""The form of labels, as every reader asks for it."""

import numpy as np
import pytest

from prep.planning.label_form import LabelForm
from prep.sources.labels import LabelMap

ONE_HOT = LabelMap.parse({"cat": [1, 0, 0], "dog": [0, 0, 1]})
NUMBERS = LabelMap.parse({"cat": 0, "dog": 7})


@pytest.mark.parametrize(
    ("labels", "records", "expected"),
    [
        (NUMBERS, [(7,), (0,)], np.array([7, 0], np.int64)),
        (ONE_HOT, [(0, 0, 1), (1, 0, 0)], np.array([[0, 0, 1], [1, 0, 0]], np.int64)),
    ],
    ids=["numbers", "one-hot"],
)
def test_labels_of_records_become_arrays(labels, records, expected):
    form = LabelForm.of(labels)
    found = form.arrays(records)
    assert found.dtype == expected.dtype == form.dtype
    assert found.shape == (len(records), *form.shape)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(form.array(records[0]), expected[0])


def test_a_label_of_another_length_is_refused():
    with pytest.raises(ValueError, match="reshape"):
        LabelForm.of(ONE_HOT).array((1,))

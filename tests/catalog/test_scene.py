from datetime import datetime

import pytest
import shapely

from catalog.errors import ItemError
from catalog.scene import Scene


def test_a_scene_without_time_zone_is_refused():
    with pytest.raises(ItemError, match="'naive' has a time without time zone"):
        Scene(
            id="naive",
            product="p",
            source="s",
            platform="",
            time=datetime(2018, 1, 1),  # noqa: DTZ001 - the very thing that is refused
            footprint=shapely.box(0, 0, 1, 1),
            cloud=None,
            epsg=None,
            version="",
            assets={},
        )

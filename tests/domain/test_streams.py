"""A stream is its seed and its path of names, on every machine."""

import hashlib

from accord.domain import Streams


def test_the_value_is_63_bits_of_the_sha256_of_seed_and_path():
    digest = hashlib.sha256(b"7/rollout/3").digest()
    assert Streams(7).child("rollout", 3).value == int.from_bytes(digest[:8], "big") >> 1


def test_names_seeds_and_depth_give_different_streams():
    root = Streams(0)
    streams = [
        root,
        root.child("a"),
        root.child("b"),
        root.child("a", "b"),
        Streams(1),
        Streams(1).child("a"),
    ]
    assert len({stream.value for stream in streams}) == len(streams)
    assert root.child("a", "b") == root.child("a").child("b")
    assert all(0 <= stream.value < 2**63 for stream in streams)

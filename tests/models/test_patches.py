import torch

from synthdata.models.patches import join, split


def test_split_and_join_are_inverse_in_2d_too() -> None:
    for shape, patch in (((3, 2, 8, 8, 4), (4, 2, 2)), ((3, 2, 1, 8, 6), (1, 2, 2))):
        volume = torch.randn(shape)
        patches = split(volume, patch)
        assert patches.shape[1] == 2 * patch[0] * patch[1] * patch[2]
        assert torch.equal(join(patches, patch), volume)


def test_a_patch_holds_neighbours() -> None:
    volume = torch.arange(16.0).view(1, 1, 1, 4, 4)
    assert split(volume, (1, 2, 2))[0, :, 0, 0, 0].tolist() == [0, 1, 4, 5]

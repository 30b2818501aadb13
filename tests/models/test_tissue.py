import torch

from synthdata.models.tissue import Tissues


def images(n: int) -> torch.Tensor:
    """Three tissues in two channels: air, a ball that both channels show, a core that the second one shows."""
    axes = torch.meshgrid(*(torch.arange(side) - (side - 1) / 2 for side in (8, 16, 16)), indexing="ij")
    radius = torch.stack(axes).square().sum(0).sqrt()
    first = torch.where(radius < 6, 0.5, -1.0)
    second = torch.where(radius < 6, torch.where(radius < 3, 0.8, 0.0), -1.0)
    jitter = 0.02 * torch.randn(n, 2, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    return torch.stack([first, second])[None] + jitter


def test_tissues_are_found_over_all_channels() -> None:
    tissues = Tissues(channels=2, classes=3)
    tissues.fit(images(6))
    expected = torch.tensor([[-1.0, -1.0], [0.5, 0.0], [0.5, 0.8]])
    assert torch.allclose(tissues.centres, expected, atol=0.05)
    fields = tissues.fields(images(2))
    assert fields.shape == (2, 3, 8, 16, 16)
    assert bool(((fields > 0).sum(1) == 1).all())  # each voxel lies in one class
    core = fields[:, 2] > 0
    assert torch.equal(core, images(2)[:, 1] > 0.4)


def test_labels_go_before_tissues() -> None:
    tissues = Tissues(channels=1, classes=2)
    fields = torch.tensor([[[[[0.3, -0.3]]], [[[-0.3, 0.3]]]]])
    labels = torch.full((1, 2, 1, 1, 2), -1.0)
    labels[0, 1, 0, 0, 0] = 0.2
    assert tissues.classes(fields, labels).flatten().tolist() == [3, 1]
    assert tissues.classes(fields, labels[:, :0]).flatten().tolist() == [0, 1]


def test_fewer_intensities_than_classes_leave_classes_empty() -> None:
    tissues = Tissues(channels=1, classes=6)
    two = torch.zeros(3, 1, 4, 4, 4)
    two[..., 2:] = 1.0
    tissues.fit(two)
    fields = tissues.fields(two)
    assert torch.isfinite(fields).all()
    assert bool(((fields > 0).sum(1) == 1).all())
    assert int((fields.amax(dim=(0, 2, 3, 4)) > 0).sum()) == 2


def test_projections_have_one_class_beside_the_labels() -> None:
    tissues = Tissues(channels=1, classes=0)
    image = torch.randn(2, 1, 1, 4, 4)
    tissues.fit(image)
    fields = tissues.fields(image)
    assert fields.shape == (2, 0, 1, 4, 4)
    labels = torch.full((2, 1, 1, 4, 4), -0.5)
    labels[:, :, :, 0] = 0.5
    classes = tissues.classes(fields, labels)
    assert classes.shape == (2, 1, 4, 4)
    assert torch.equal(classes == 1, labels[:, 0] > 0)
    assert bool((tissues.classes(fields, labels[:, :0]) == 0).all())

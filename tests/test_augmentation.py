"""Batched augmentation keeps what it promises, and agrees with torchvision's operations on single pictures."""

import math

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as reference

from labml_nn.helpers import augmentation as ours
from labml_nn.helpers.augmentation import Augmentation, RandAugment

MEAN, STD = torch.tensor([120.0, 110.0, 100.0]), torch.tensor([60.0, 50.0, 70.0])


@pytest.fixture
def images():
    """Smooth pictures with noise, so that neither flat nor random ones hide a mistake."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(16, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic").clamp(0, 1)
    noise = torch.randn(16, 3, 32, 32, generator=generator) * 0.05
    return ((smooth + noise).clamp(0, 1) * 200 + 20).to(torch.uint8)


def plain(**changes):
    """An augmentation that does nothing but what `changes` say."""
    nothing = {"flip": False, "n_operations": 0}
    return Augmentation(mean=MEAN, std=STD, seed=1, **{**nothing, **changes})


def pixels(batch):
    """Undo the normalization."""
    return (batch * STD.view(3, 1, 1) + MEAN.view(3, 1, 1)).round().to(torch.uint8)


def test_nothing_to_do_only_normalizes(images):
    batch = plain()(images)
    assert torch.allclose(batch, (images - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1), atol=1e-5)


def test_the_images_of_the_data_set_are_not_changed(images):
    before = images.clone()
    plain(flip=True, crop_padding=4, n_operations=2, jitter=0.3, erase=0.5, cutout=8)(images)
    assert torch.equal(images, before)


def test_a_flip_is_a_flip_and_happens_to_half(images):
    many = images.repeat(64, 1, 1, 1)
    result = pixels(plain(flip=True)(many))
    same = (result == many).flatten(1).all(1)
    mirrored = (result == many.flip(-1)).flatten(1).all(1)
    assert torch.all(same ^ mirrored)
    # 1024 tosses of a coin: four standard deviations are 64
    assert abs(mirrored.sum() - 512) < 64


def test_every_offset_of_the_crop_is_equally_likely():
    """Chi-square over the 81 offsets of padding 4; the fixed seed makes the test repeatable."""
    n_images, n_offsets = 8100, 81
    # A picture whose pixels know where they are
    place = torch.stack([torch.arange(1, 17).repeat(16, 1), torch.arange(1, 17).repeat(16, 1).T, torch.zeros(16, 16)])
    cropped = pixels(plain(crop_padding=4)(place.to(torch.uint8).expand(n_images, 3, 16, 16)))
    dx, dy = cropped[:, 0, 8, 8].int() - 9, cropped[:, 1, 8, 8].int() - 9
    assert dx.abs().max() == 4 and dy.abs().max() == 4
    counts = torch.bincount((dx + 4) * 9 + dy + 4, minlength=n_offsets).double()
    chi_square = ((counts - n_images / n_offsets).square() / (n_images / n_offsets)).sum().item()
    # Mean 80 and standard deviation 12.6 where all are equally likely
    assert chi_square < 80 + 4 * math.sqrt(160)


def test_the_crop_is_the_padded_picture_at_an_offset(images):
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    cropped = pixels(plain(crop_padding=4)(images))
    for picture, frame in zip(cropped, padded, strict=True):
        assert any(torch.equal(picture, frame[:, y : y + 32, x : x + 32]) for y in range(9) for x in range(9))


def test_one_seed_gives_the_same_batches_and_another_seed_others(images):
    everything = {"flip": True, "crop_padding": 4, "n_operations": 2, "jitter": 0.3, "erase": 0.5, "cutout": 8}
    one, same = (Augmentation(mean=MEAN, std=STD, seed=7, **everything) for _ in range(2))
    other = Augmentation(mean=MEAN, std=STD, seed=8, **everything)
    first = one(images)
    assert torch.equal(first, same(images))
    assert not torch.equal(first, other(images))
    assert not torch.equal(first, one(images))


def test_the_generator_is_its_own(images):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    plain(flip=True, n_operations=2, jitter=0.3, erase=0.5)(images)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("operation", "strength", "expected"),
    [
        (ours.brightness, 0.64, lambda x: reference.adjust_brightness(x, 0.64)),
        (ours.brightness, 1.36, lambda x: reference.adjust_brightness(x, 1.36)),
        (ours.saturation, 0.1, lambda x: reference.adjust_saturation(x, 0.1)),
        (ours.saturation, 1.9, lambda x: reference.adjust_saturation(x, 1.9)),
        (ours.contrast, 0.64, lambda x: reference.adjust_contrast(x, 0.64)),
        (ours.contrast, 1.9, lambda x: reference.adjust_contrast(x, 1.9)),
        (ours.sharpness, 0.1, lambda x: reference.adjust_sharpness(x, 0.1)),
        (ours.sharpness, 1.9, lambda x: reference.adjust_sharpness(x, 1.9)),
        (ours.posterize, 6, lambda x: reference.posterize(x, 6)),
        (ours.posterize, 4, lambda x: reference.posterize(x, 4)),
        (ours.posterize, 8, lambda x: x),
        (ours.solarize, 153, lambda x: reference.solarize(x, 153)),
        (ours.auto_contrast, 0, reference.autocontrast),
        (ours.equalize, 0, reference.equalize),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_colour_operations_agree_with_torchvision(images, operation, strength, expected):
    result = operation(images, torch.full((len(images),), float(strength)))
    assert result.dtype == torch.uint8
    # They round at different moments
    assert (result.int() - expected(images).int()).abs().max() <= 2


def test_strengths_belong_to_their_pictures(images):
    strengths = torch.linspace(0.1, 1.9, len(images))
    together = ours.contrast(images, strengths)
    alone = torch.cat([ours.contrast(images[i : i + 1], strengths[i : i + 1]) for i in range(len(images))])
    assert torch.equal(together, alone)


def test_flat_channels_survive_contrast_and_equalization():
    flat = torch.full((1, 3, 8, 8), 77, dtype=torch.uint8)
    assert torch.equal(ours.auto_contrast(flat, torch.ones(1)), flat)
    assert torch.equal(ours.equalize(flat, torch.ones(1)), flat)


def test_automatic_contrast_reaches_both_ends(images):
    result = ours.auto_contrast(images, torch.ones(len(images)))
    assert torch.all(result.amin((2, 3)) == 0) and torch.all(result.amax((2, 3)) == 255)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (
            ours.rotation(torch.tensor([20.0]), 32, 32),
            lambda x: reference.rotate(x, 20, InterpolationMode.NEAREST),
        ),
        (
            ours.translation(torch.tensor([5.0]), torch.tensor([-3.0])),
            lambda x: reference.affine(x, 0, [-5, 3], 1.0, [0.0], InterpolationMode.NEAREST),
        ),
        (
            ours.shear(torch.tensor([0.2]), torch.tensor([0.0])),
            lambda x: reference.affine(
                x, 0, [0, 0], 1.0, [math.degrees(math.atan(0.2)), 0.0], InterpolationMode.NEAREST, center=[0, 0]
            ),
        ),
        (
            ours.shear(torch.tensor([0.0]), torch.tensor([0.2])),
            lambda x: reference.affine(
                x, 0, [0, 0], 1.0, [0.0, math.degrees(math.atan(0.2))], InterpolationMode.NEAREST, center=[0, 0]
            ),
        ),
    ],
    ids=["rotate", "translate", "shear x", "shear y"],
)
def test_geometry_agrees_with_torchvision(images, matrix, expected):
    result = ours.resample(images, matrix.expand(len(images), 3, 3))
    # Places that fall between two pixels may be rounded to either
    assert (result == expected(images)).float().mean() > 0.99


def test_maps_are_composed_in_one_reading(images):
    """Two shifts by whole pixels and a flip lose nothing when they are done at once."""
    shift = ours.translation(torch.tensor([3.0]), torch.tensor([2.0]))
    flip = ours.horizontal_flip(torch.tensor([1.0]), 32)
    together = ours.resample(images, (shift @ flip).expand(len(images), 3, 3))
    in_turn = ours.resample(ours.resample(images, shift.expand(16, 3, 3)), flip.expand(16, 3, 3))
    assert torch.equal(together, in_turn)


def test_rand_augment_draws_all_operations_alike():
    operations, signs = RandAugment(2, 12).draw(7000, torch.Generator().manual_seed(0))
    counts = torch.bincount(operations.flatten(), minlength=14).double()
    assert len(counts) == 14
    assert ((counts - 1000).square() / 1000).sum() < 13 + 4 * math.sqrt(26)
    assert abs(signs.mean()) < 0.04


def test_rand_augment_applies_its_operations_in_the_order_drawn(images, monkeypatch):
    """Geometry before colour: the black corners of a rotated picture count for the contrast that follows."""
    rand_augment = RandAugment(2, 20)
    rotate, equalize = RandAugment.GEOMETRY.index("rotate"), len(RandAugment.GEOMETRY) + 7
    n = len(images)
    drawn = torch.tensor([[rotate, equalize]]).expand(n, 2), torch.ones(n, 2)
    monkeypatch.setattr(rand_augment, "draw", lambda *_: drawn)
    result, pending = rand_augment(images.clone(), torch.eye(3).repeat(n, 1, 1), torch.Generator())
    turned = ours.resample(images, ours.rotation(torch.full((n,), 20.0), 32, 32))
    assert torch.equal(pending, torch.eye(3).expand(n, 3, 3))
    assert torch.equal(result, ours.equalize(turned, torch.ones(n)))


def test_magnitude_zero_of_a_geometric_operation_is_nothing():
    rand_augment = RandAugment(1, 0)
    matrices = rand_augment.matrices(torch.arange(6), torch.ones(6), 32, 32)
    assert torch.allclose(matrices, torch.eye(3).expand(6, 3, 3), atol=1e-6)


def test_jitter_stays_in_its_range():
    grey = torch.full((256, 3, 4, 4), 100, dtype=torch.uint8)
    values = pixels(plain(jitter=0.2)(grey)).float()
    # Grey has no contrast and no saturation to change, so that brightness remains
    assert 79 <= values.min() < 85 and 115 < values.max() <= 120


def test_erasing_takes_a_share_of_the_pictures_and_a_rectangle_of_each(images):
    many = images.repeat(32, 1, 1, 1)
    batch = plain(erase=0.25)(many)
    erased = (batch == 0).all(1)
    n_erased = erased.flatten(1).any(1).sum()
    # 512 pictures: four standard deviations are 39
    assert abs(n_erased - 128) < 40
    for mask in erased[erased.flatten(1).sum(1) > 4]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        assert box == mask.sum() <= 0.4 * 32 * 32


def test_cutout_takes_a_square_that_may_lie_half_outside():
    white = torch.full((64, 3, 16, 16), 255, dtype=torch.uint8)
    holes = (plain(cutout=6)(white) == 0).all(1)
    areas = holes.flatten(1).sum(1)
    assert areas.max() == 36 and 9 <= areas.min() < 36


@pytest.mark.parametrize(
    "wrong",
    [{"magnitude": 31}, {"magnitude": -1}, {"n_operations": -1}, {"jitter": 1.5}, {"erase": -0.1}, {"cutout": -2}],
    ids=str,
)
def test_values_out_of_range_are_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        plain(**wrong)


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (3, 3, 9, 17), (2, 3, 1, 1)])
def test_any_size_of_batch_and_picture(shape):
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    batch = plain(flip=True, crop_padding=2, n_operations=3, jitter=0.2, erase=1.0, cutout=2)(images)
    assert batch.shape == shape and torch.isfinite(batch).all()

"""
---
title: Augmentation of whole batches
summary: Crops, flips, RandAugment, colour jitter and erasing as tensor operations on a batch that lives on the device.
example: |
  import torch
  from labml_nn.helpers.augmentation import Augmentation

  augment = Augmentation(mean=torch.full((3,), 125.0), std=torch.full((3,), 60.0), seed=1)
  images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
  batch = augment(images)
---

# Augmentation of whole batches

The usual input pipeline opens one picture at a time, in a few worker processes, and changes it with a handful of
Python calls. For pictures as small as those of CIFAR-10 the calls cost far more than the pixels.

Here the pictures are one `uint8` tensor that lives on the device, and a batch is changed by a few dozen tensor
operations, whatever its size. Two ideas make that work although every picture gets changes of its own:

* **Geometry is a matrix.** A flip, a shifted crop, a shear and a rotation are affine maps, and a chain of them is
  the product of their matrices. So each picture is read *once*, at the places its matrix names.
* **Colour is done in groups.** All pictures that drew the same operation are changed together.

*Which* change a picture gets is drawn on the CPU, from a generator of our own: these are a few numbers for each
picture, and so one seed means the same pictures on every kind of device.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from labml_nn.helpers.device import one_thread

# From so many values in a batch on, the operations on its groups are worth more than one core
THREADING_PAYS = 16_000_000

# A colour operation takes a group of pictures and one strength for each of them, and returns the pictures changed
ColourOperation = Callable[[Tensor, Tensor], Tensor]


def blend(images: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """
    ## Blend

    $$\\text{out} = s \\, \\text{image} + (1 - s) \\, \\text{other}$$

    * `images` are the pictures, `uint8` of shape `[n, 3, height, width]`
    * `other` is a float tensor that broadcasts to the same shape
    * `strength` is $s$, of shape `[n]`: 0 gives `other`, 1 gives the picture back, and beyond 1 moves away from `other`

    All enhancements of colour below are this formula with an `other` of their own. The result is cut to
    $[0, 255]$ and rounded down, as Pillow does it. Going to bytes by way of 16 bits takes a quarter of the time,
    since a CPU has vector instructions for each of the two ways.
    """
    strength = strength.to(images.device, torch.float32).view(-1, 1, 1, 1)
    return images.float().mul_(strength).add_(other * (1 - strength)).clamp_(0, 255).short().byte()


def greyscale(images: Tensor) -> Tensor:
    """
    ## Greyscale

    The brightness the eye sees: $0.299 \\, r + 0.587 \\, g + 0.114 \\, b$ (ITU-R BT.601), in whole numbers.

    Takes `uint8` pictures of shape `[n, 3, height, width]`, returns floats of shape `[n, 1, height, width]`.
    """
    red, green, blue = images.float().unbind(1)
    return red.mul(0.299).add_(green, alpha=0.587).add_(blue, alpha=0.114).add_(0.5).floor_().unsqueeze(1)


def brightness(images: Tensor, strength: Tensor) -> Tensor:
    """
    ## Brightness: away from black
    """
    return blend(images, torch.zeros((), device=images.device), strength)


def contrast(images: Tensor, strength: Tensor) -> Tensor:
    """
    ## Contrast: away from the picture's mean grey
    """
    return blend(images, greyscale(images).mean((1, 2, 3), keepdim=True).add_(0.5).floor_(), strength)


def saturation(images: Tensor, strength: Tensor) -> Tensor:
    """
    ## Saturation: away from the picture without its colours
    """
    return blend(images, greyscale(images), strength)


def sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """
    ## Sharpness: away from the picture smoothed

    The smoothed pixel is $\\frac{1}{13}$ of the sum over its 3 × 3 neighbourhood, with the pixel itself counted five
    times. The outermost pixels, whose neighbourhood is not complete, stay as they are.
    """
    width = images.shape[-1]
    # As one long row of numbers, the neighbours of each are 1 and `width` away. At the border that is wrong, and
    # there we take the picture itself.
    flat = images.flatten().float()
    columns = flat[:-2] + flat[1:-1] + flat[2:]
    total = columns[: -2 * width] + columns[width:-width] + columns[2 * width :]
    smooth = flat.clone()
    smooth[width + 1 : -width - 1].mul_(4 / 13).add_(total, alpha=1 / 13).add_(0.5).floor_()
    inner = torch.zeros(images.shape[-2:], dtype=torch.bool, device=images.device)
    inner[1:-1, 1:-1] = True
    return blend(images, torch.where(inner, smooth.view(images.shape), images), strength)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """
    ## Posterize: keep only the upper bits of each value

    `bits` is how many are kept, one number for each picture.
    """
    mask = (256 - 2 ** (8 - bits.round())).clamp(max=255)
    return images & mask.to(images.device, torch.uint8).view(-1, 1, 1, 1)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """
    ## Solarize: invert the values from `threshold` upwards
    """
    threshold = threshold.ceil().to(images.device, torch.uint8).view(-1, 1, 1, 1)
    # All bits of a value turned over are its distance from 255. As a byte, true is 1, and -1 has all bits set.
    return images ^ (images >= threshold).view(torch.uint8).neg()


def auto_contrast(images: Tensor, _strength: Tensor) -> Tensor:
    """
    ## Automatic contrast

    Stretch each channel so that its darkest value becomes 0 and its brightest 255. A channel of one value stays.
    """
    low, high = images.amin((2, 3), keepdim=True).float(), images.amax((2, 3), keepdim=True).float()
    flat = low == high
    scale = torch.where(flat, 1.0, 255 / (high - low))
    # The small number undoes what the division may have lost, so that the brightest value does become 255
    return (images.float() - torch.where(flat, 0.0, low)).mul_(scale).add_(1e-3).clamp_(0, 255).short().byte()


def equalize(images: Tensor, _strength: Tensor) -> Tensor:
    """
    ## Equalize

    Give each channel a histogram as flat as it can be, by a table of 256 entries for each channel of each picture.
    """
    n_images, n_channels = images.shape[:2]
    rows = torch.arange(n_images * n_channels, dtype=torch.int32, device=images.device)
    # Each channel of each picture counts in, and later reads from, 256 places of its own
    places = images.view(len(rows), -1) + 256 * rows[:, None]
    counts = torch.bincount(places.flatten(), minlength=256 * len(rows)).view(-1, 256)
    # How many pixels one of the 255 steps upwards is worth, not counting the brightest value, which has nowhere to go
    brightest = (places.amax(1) - 256 * rows).long()[:, None]
    step = (places.shape[1] - counts.gather(1, brightest)) // 255
    darker = counts.cumsum(1) - counts
    table = ((darker + step // 2) // step.clamp(min=1)).clamp_(max=255)
    # A channel with too few other pixels for a single step stays as it is
    table = torch.where(step > 0, table, torch.arange(256, device=images.device)).to(torch.uint8)
    return table.flatten().index_select(0, places.flatten()).view(images.shape)


# ## Affine maps
#
# Each says *where in the source* the colour of a pixel comes from: $[x, y, 1]^\top$, the centre of a pixel of the
# result, times the matrix is the place to read. Pixels are one unit wide and the first one's centre is $(½, ½)$.


def affine(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor) -> Tensor:
    """
    The matrices

    $$\\begin{bmatrix} a & b & c \\\\ d & e & f \\\\ 0 & 0 & 1 \\end{bmatrix}$$

    from six tensors of shape `[n]`: shape `[n, 3, 3]`.
    """
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    return torch.stack([a, b, c, d, e, f, zero, zero, one], dim=-1).view(-1, 3, 3)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """
    Read `x` pixels further right and `y` further down.
    """
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return affine(one, zero, x, zero, one, y)


def horizontal_flip(flipped: Tensor, width: int) -> Tensor:
    """
    Mirror left and right the pictures for which `flipped` is 1, and leave those where it is 0.
    """
    zero, one = torch.zeros_like(flipped), torch.ones_like(flipped)
    return affine(1 - 2 * flipped, zero, width * flipped, zero, one, zero)


def shear(x: Tensor, y: Tensor) -> Tensor:
    """
    Slant by `x` pixels for each row and `y` pixels for each column, the upper left corner staying where it is.
    """
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return affine(one, x, zero, y, one, zero)


def rotation(degrees: Tensor, height: int, width: int) -> Tensor:
    """
    Turn about the centre, counter-clockwise.
    """
    cosine, sine = degrees.deg2rad().cos(), degrees.deg2rad().sin()
    x, y = width / 2, height / 2
    return affine(cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y)


def resample(images: Tensor, matrices: Tensor) -> Tensor:
    """
    ## Read every picture at the places its matrix names

    * `images` are `uint8` of shape `[n, channels, height, width]`
    * `matrices` have shape `[n, 3, 3]`

    Takes the nearest pixel, which keeps the values whole numbers, and black beyond the border.
    """
    height, width = images.shape[-2:]
    matrices = matrices.to(images.device)
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device) + 0.5
    # `grid_sample` counts from -1 at the left border to 1 at the right one
    matrices = matrices[:, :2] * torch.tensor([[2 / width], [2 / height]], device=images.device)
    across, down, offset = matrices[..., None].unbind(2)
    # The places to read, of shape `[n, 2, height, width]`. No matrix product is needed: one part depends only on the
    # column and another only on the row.
    places = (across * x)[:, :, None, :] + (down * y + (offset - 1))[..., None]
    grid = places.permute(0, 2, 3, 1)
    return F.grid_sample(images.float(), grid, mode="nearest", align_corners=False).short().byte()


class RandAugment:
    """
    ## RandAugment

    Each picture gets `n_operations` operations, drawn one by one from fourteen, all of the same `magnitude`
    ([*RandAugment*](https://arxiv.org/abs/1909.13719), Cubuk and others, section 3). The ranges are those of
    the paper's code, as torchvision has them.
    """

    # The place of each operation in these lists is its number; the first is to do nothing
    GEOMETRY = ("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate")
    COLOUR: tuple[ColourOperation, ...] = (
        brightness,
        saturation,
        contrast,
        sharpness,
        posterize,
        solarize,
        auto_contrast,
        equalize,
    )

    def __init__(self, n_operations: int = 2, magnitude: int = 12):
        """
        * `n_operations` is how many operations each picture gets, $N$
        * `magnitude` is how strong they are, $M$, from 0 to 30

        Raises a `ValueError` where one is out of range.
        """
        if n_operations < 0:
            raise ValueError(f"n_operations must not be negative, not {n_operations}")
        if not 0 <= magnitude <= 30:
            raise ValueError(f"magnitude must be from 0 to 30, not {magnitude}")
        self.n_operations = n_operations
        self.magnitude = magnitude

    def draw(self, n_images: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """
        ### What happens to each picture

        Returns the operations' numbers and a sign for each, both of shape `[n_images, n_operations]`.
        The sign says left or right, darker or brighter.
        """
        shape = (n_images, self.n_operations)
        operations = torch.randint(len(self.GEOMETRY) + len(self.COLOUR), shape, generator=generator)
        signs = torch.randint(2, shape, generator=generator) * 2.0 - 1
        return operations, signs

    def matrices(self, operations: Tensor, signs: Tensor, height: int, width: int) -> Tensor:
        """
        ### Matrices of the geometric operations

        `operations` and `signs` have shape `[n]`; what is no geometric operation gets the identity.
        """
        level = self.magnitude / 30

        def chosen(name: str) -> Tensor:
            return signs * (operations == self.GEOMETRY.index(name))

        slant = shear(chosen("shear_x") * 0.3 * level, chosen("shear_y") * 0.3 * level)
        # Whole pixels, up to 45 % of the picture
        reach = 150 / 331 * level
        shift = translation(chosen("translate_x") * int(reach * width), chosen("translate_y") * int(reach * height))
        # Of the three matrices at most one is not the identity, so their order does not matter
        return slant @ shift @ rotation(chosen("rotate") * 30 * level, height, width)

    def colour(self, images: Tensor, operations: Tensor, signs: Tensor) -> None:
        """
        ### Apply the colour operations, in place

        `operations` and `signs` have shape `[n]`; pictures that drew a geometric operation are left alone.
        """
        for number, operation in enumerate(self.COLOUR, start=len(self.GEOMETRY)):
            members = (operations == number).nonzero().squeeze(1)
            if len(members) == 0:
                continue
            strengths = self.strengths(operation, signs[members])
            members = members.to(images.device)
            write_rows(images, members, operation(images.index_select(0, members), strengths))

    def strengths(self, operation: ColourOperation, signs: Tensor) -> Tensor:
        """
        ### What the magnitude means to an operation
        """
        level = self.magnitude / 30
        if operation is posterize:
            return torch.full_like(signs, 8 - round(4 * level))
        if operation is solarize:
            return torch.full_like(signs, 255 * (1 - level))
        return 1 + signs * 0.9 * level

    def __call__(self, images: Tensor, pending: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """
        ### Augment a batch

        * `images` are `uint8` of shape `[n, 3, height, width]`, and are changed in place
        * `pending` are matrices of shape `[n, 3, 3]`: geometry that is decided and not yet done

        Returns the pictures, and the geometry that is still pending. It stays pending for as long as nothing
        depends on it, so that most pictures are read once although they go through several operations.
        """
        height, width = images.shape[-2:]
        operations, signs = self.draw(len(images), generator)
        moved = torch.zeros(len(images), dtype=torch.bool)
        for operation, sign in zip(operations.unbind(1), signs.unbind(1), strict=True):
            # A colour operation looks at the whole picture, the black beyond its border included, so that geometry
            # before it must be done by then. What is pending from outside, flips and crops, can wait.
            due = (moved & (operation >= len(self.GEOMETRY))).nonzero().squeeze(1)
            resample_some(images, pending, due)
            moved[due] = False
            self.colour(images, operation, sign)
            moved |= (operation > 0) & (operation < len(self.GEOMETRY))
            pending = pending @ self.matrices(operation, sign, height, width)
        #
        return images, pending


def resample_some(images: Tensor, matrices: Tensor, members: Tensor) -> None:
    """
    ## Read some of the pictures anew, in place

    `members` are the indexes of the pictures to do. Their matrices become the identity.
    """
    if len(members) == 0:
        return
    rows = members.to(images.device)
    write_rows(images, rows, resample(images.index_select(0, rows), matrices[members]))
    matrices[members] = torch.eye(3)


def write_rows(images: Tensor, rows: Tensor, values: Tensor) -> None:
    """
    ## Put `values` into some of the pictures, in place

    Eight bytes at a time where the pictures can be seen like that, which is that much faster.
    """
    images, values = images.flatten(1), values.flatten(1)
    if images.shape[1] % 8 == 0:
        images, values = images.view(torch.int64), values.view(torch.int64)
    images.index_copy_(0, rows, values)


class Augmentation:
    """
    ## The whole pipeline, from `uint8` pictures to the model's input
    """

    def __init__(
        self,
        *,
        mean: Tensor,
        std: Tensor,
        seed: int,
        flip: bool = True,
        crop_padding: int = 0,
        n_operations: int = 2,
        magnitude: int = 12,
        jitter: float = 0.0,
        erase: float = 0.0,
        cutout: int = 0,
    ):
        """
        * `mean` and `std` are those of the channels over the training set, in the units of the pixels, 0 to 255
        * `seed` starts the generator that all choices come from
        * `flip` mirrors every other picture
        * `crop_padding` is the width of a black frame; the crop is then taken anywhere inside it
        * `n_operations` and `magnitude` are those of [RandAugment](#RandAugment)
        * `jitter` is the range $j$ of colour jitter: brightness, contrast and saturation each get a factor
           from $[1 - j, 1 + j]$
        * `erase` is the probability of random erasing
        * `cutout` is the edge of a square that is cut out of every picture

        Raises a `ValueError` where a value is out of range.
        """
        for name, value, high in (("jitter", jitter, 1.0), ("erase", erase, 1.0)):
            if not 0 <= value <= high:
                raise ValueError(f"{name} must be from 0 to {high:g}, not {value}")
        for name, size in (("crop_padding", crop_padding), ("cutout", cutout)):
            if size < 0:
                raise ValueError(f"{name} must not be negative, not {size}")
        self.mean, self.std = mean, std
        self.flip, self.crop_padding = flip, crop_padding
        self.rand_augment = RandAugment(n_operations, magnitude)
        self.jitter, self.erase, self.cutout = jitter, erase, cutout
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, images: Tensor) -> Tensor:
        """
        * `images` are `uint8` of shape `[batch_size, 3, height, width]`; they are not changed

        Returns floats of the same shape, of mean 0 and standard deviation 1 over the training set.
        """
        with one_thread(images.device.type == "cpu" and images.numel() < THREADING_PAYS):
            return self.augment(images)

    def augment(self, images: Tensor) -> Tensor:
        """
        ### One thing after the other
        """
        images, pending = self.rand_augment(images.clone(), self.place(images), self.generator)
        moved = (pending != torch.eye(3)).flatten(1).any(1).nonzero().squeeze(1)
        resample_some(images, pending, moved)
        if self.jitter:
            images = self.colour_jitter(images)
        batch = normalize(images, self.mean, self.std)
        if self.erase or self.cutout:
            batch.masked_fill_(self.holes(images).unsqueeze(1).to(batch.device), 0.0)
        #
        return batch

    def place(self, images: Tensor) -> Tensor:
        """
        ### Random flip and random crop

        Returns matrices of shape `[batch_size, 3, 3]`. A crop out of the padded picture is a shift by a whole
        number of pixels, every shift being as likely as any other.
        """
        n_images, width = len(images), images.shape[-1]
        offsets = torch.randint(2 * self.crop_padding + 1, (n_images, 2), generator=self.generator) - self.crop_padding
        flips = torch.randint(2 if self.flip else 1, (n_images,), generator=self.generator).float()
        x, y = offsets.float().unbind(1)
        return translation(x, y) @ horizontal_flip(flips, width)

    def colour_jitter(self, images: Tensor) -> Tensor:
        """
        ### Colour jitter
        """
        strengths = 1 + self.jitter * (2 * torch.rand(len(images), 3, generator=self.generator) - 1)
        parts = []
        # Some pictures at a time, so that a CPU's cache holds them from one operation to the next
        for part, (bright, contrasting, colourful) in zip(
            images.split(32), (some.unbind(1) for some in strengths.split(32)), strict=True
        ):
            parts.append(saturation(contrast(brightness(part, bright), contrasting), colourful))
        return torch.cat(parts)

    def holes(self, images: Tensor) -> Tensor:
        """
        ### Which pixels are taken out

        A boolean mask of shape `[batch_size, height, width]`. The pixels become 0 *behind* the normalization:
        the mean colour of the training set, which says nothing.
        """
        n_images, (height, width) = len(images), images.shape[-2:]
        holes = torch.zeros(n_images, height, width, dtype=torch.bool)
        if self.erase:
            # [Random erasing](https://arxiv.org/abs/1708.04896): a rectangle of 2 % to 33 % of the area,
            # its height 0.3 to 3.3 times its width
            area = height * width * torch.empty(n_images).uniform_(0.02, 0.33, generator=self.generator)
            ratio = torch.empty(n_images).uniform_(math.log(0.3), math.log(3.3), generator=self.generator).exp()
            chosen = torch.rand(n_images, generator=self.generator) < self.erase
            rows = (area * ratio).sqrt().round().clamp(max=height) * chosen
            columns = (area / ratio).sqrt().round().clamp(max=width)
            top = (torch.rand(n_images, generator=self.generator) * (height - rows + 1)).floor()
            left = (torch.rand(n_images, generator=self.generator) * (width - columns + 1)).floor()
            holes |= boxes(top, left, rows, columns, height, width)
        if self.cutout:
            # [Cutout](https://arxiv.org/abs/1708.04552): the centre of the square may be any pixel, so that part of
            # the square may lie outside
            size = torch.full((n_images,), float(self.cutout))
            top = torch.randint(height, (n_images,), generator=self.generator) - self.cutout // 2
            left = torch.randint(width, (n_images,), generator=self.generator) - self.cutout // 2
            holes |= boxes(top, left, size, size, height, width)
        #
        return holes


def boxes(top: Tensor, left: Tensor, rows: Tensor, columns: Tensor, height: int, width: int) -> Tensor:
    """
    ## One rectangle for each picture, as a mask

    All of shape `[n]`; the mask has shape `[n, height, width]`.
    """
    y, x = torch.arange(height), torch.arange(width)
    in_rows = (y >= top[:, None]) & (y < (top + rows)[:, None])
    in_columns = (x >= left[:, None]) & (x < (left + columns)[:, None])
    return in_rows[:, :, None] & in_columns[:, None, :]


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """
    ## From pixels to the model's input

    $$\\frac{x - \\mu_c}{\\sigma_c}$$

    * `images` are `uint8` of shape `[n, 3, height, width]`
    * `mean` and `std` have shape `[3]`
    """
    scale = (1 / std).view(-1, 1, 1)
    return images.float().mul_(scale).sub_(mean.view(-1, 1, 1) * scale)

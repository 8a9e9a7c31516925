"""Where images come from: drawn shapes, any folder of pictures, CIFAR-10. Each test makes tiny data of its own."""

import functools
import hashlib
import http.server
import os
import pickle
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from labml_nn.helpers.cifar10 import cifar10
from labml_nn.helpers.errors import UserError
from labml_nn.helpers.image_folder import image_folder
from labml_nn.helpers.images import LabelledImages, channel_statistics, shuffled
from labml_nn.helpers.shapes import CLASSES, draw_shapes, shapes

COLOURS = {"blue": (0, 0, 255), "red": (255, 0, 0)}


def write(path, colour=(0, 0, 0), size=(40, 30), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)


def fill(folder, n=4, colours=COLOURS, suffix="png"):
    """A folder with `n` pictures in each of the classes blue and red."""
    for name, colour in colours.items():
        for i in range(n):
            write(folder / name / f"{i}.{suffix}", colour)
    return folder


def colours_of(part):
    return {
        tuple(image[:, 4, 4].tolist()): label for image, label in zip(part.images, part.labels.tolist(), strict=True)
    }


# In memory


def test_batches_follow_the_order_and_the_last_one_holds_the_rest():
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 3, 2, 2)
    data = LabelledImages(images, torch.arange(10))
    labels = [batch_labels.tolist() for _, batch_labels in data.batches(4, torch.arange(9, -1, -1))]
    assert labels == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0]]
    for batch_images, batch_labels in data.batches(4, shuffled(10, seed=1, epoch=0)):
        assert torch.equal(batch_images[:, 0, 0, 0].long(), batch_labels)
    assert [len(batch_labels) for _, batch_labels in data.batches(4)] == [4, 4, 2]


def test_every_epoch_has_an_order_of_its_own_that_can_be_found_again():
    assert torch.equal(shuffled(100, seed=1, epoch=3), shuffled(100, seed=1, epoch=3))
    orders = {tuple(shuffled(100, seed, epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    assert all(sorted(order) == list(range(100)) for order in orders)


def test_channel_statistics_are_those_of_all_pixels():
    images = torch.randint(0, 256, (50, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = channel_statistics(images)
    flat = images.double().transpose(0, 1).flatten(1)
    assert torch.allclose(mean.double(), flat.mean(1), atol=1e-4)
    assert torch.allclose(std.double(), flat.std(1, correction=0), atol=1e-4)


def test_a_channel_of_one_value_can_be_normalized():
    _, std = channel_statistics(torch.full((2, 3, 4, 4), 9, dtype=torch.uint8))
    assert torch.equal(std, torch.ones(3))


# Shapes


def test_shapes_are_the_same_for_everybody_and_differ_by_seed():
    images, labels = draw_shapes(40, seed=5)
    assert images.shape == (40, 3, 32, 32) and images.dtype == torch.uint8
    assert torch.bincount(labels).tolist() == [4] * len(CLASSES)
    assert torch.equal(images, draw_shapes(40, seed=5)[0])
    assert not torch.equal(images, draw_shapes(40, seed=6)[0])


def test_training_and_validation_share_no_drawing():
    data = shapes(n_train=200, n_validation=200, size=16)
    train = {image.numpy().tobytes() for image in data.train.images}
    assert not train & {image.numpy().tobytes() for image in data.validation.images}
    assert data.train.images.shape == (200, 3, 16, 16) and len(data.classes) == 10


# A folder of pictures


def test_a_share_of_each_class_is_set_aside(tmp_path):
    fill(tmp_path, n=20)
    data = image_folder(tmp_path, image_size=8)
    assert data.classes == ("blue", "red")
    assert torch.bincount(data.train.labels).tolist() == [18, 18]
    assert torch.bincount(data.validation.labels).tolist() == [2, 2]
    assert colours_of(data.train) == colours_of(data.validation) == {(0, 0, 255): 0, (255, 0, 0): 1}
    assert data.train.images.shape == (36, 3, 8, 8)


def test_what_is_set_aside_stays_set_aside_when_pictures_are_added(tmp_path):
    for i in range(40):
        write(tmp_path / "a" / f"{i}.png", (i, 0, 0))
        write(tmp_path / "b" / f"{i}.png", (i, 1, 0))
    before = {tuple(image[:, 0, 0].tolist()) for image in image_folder(tmp_path, 4).validation.images}
    write(tmp_path / "a" / "new.png", (200, 0, 0))
    after = {tuple(image[:, 0, 0].tolist()) for image in image_folder(tmp_path, 4).validation.images}
    assert len(before - after) <= 1


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_a_folder_that_is_split_already_is_taken_as_it_is(tmp_path, name):
    fill(tmp_path / "train", n=3)
    fill(tmp_path / name, n=2)
    data = image_folder(tmp_path, image_size=8)
    assert (len(data.train), len(data.validation)) == (6, 4)


def test_a_folder_with_nothing_but_train_is_split(tmp_path):
    fill(tmp_path / "train", n=10)
    data = image_folder(tmp_path, image_size=8)
    assert data.classes == ("blue", "red") and (len(data.train), len(data.validation)) == (18, 2)


def test_a_class_may_be_called_train(tmp_path):
    fill(tmp_path, colours={"bus": (1, 1, 1), "test": (2, 2, 2), "train": (3, 3, 3)})
    assert image_folder(tmp_path, image_size=8).classes == ("bus", "test", "train")


def test_the_middle_is_kept_and_the_shape_not_distorted(tmp_path):
    fill(tmp_path)
    wide = Image.new("RGB", (96, 32), "white")
    wide.paste((255, 0, 0), (32, 0, 64, 32))
    wide.save(tmp_path / "red" / "0.png")
    images = image_folder(tmp_path, image_size=16).train.images
    assert {tuple(image[:, 8, 8].tolist()) for image in images} == {(255, 0, 0), (0, 0, 255)}


def test_pictures_are_turned_as_the_camera_was_held(tmp_path):
    fill(tmp_path, n=1)
    upper_red = Image.new("RGB", (16, 16), (255, 255, 255))
    upper_red.paste((255, 0, 0), (0, 0, 16, 8))
    exif = Image.Exif()
    # Orientation 3: held upside down
    exif[0x0112] = 3
    for i in range(4):
        upper_red.save(tmp_path / "red" / f"{i}.png", exif=exif)
    data = image_folder(tmp_path / ".", image_size=16, validation_share=0.25)
    for image in data.train.images[data.train.labels == 1]:
        assert image[:, 2, 8].tolist() == [255, 255, 255] and image[:, 13, 8].tolist() == [255, 0, 0]


def test_every_kind_of_picture_becomes_three_channels(tmp_path):
    fill(tmp_path)
    folder = tmp_path / "odd"
    folder.mkdir()
    Image.new("L", (9, 9), 128).save(folder / "grey.png")
    Image.new("LA", (9, 9), (128, 255)).save(folder / "grey with alpha.png")
    Image.new("RGBA", (9, 9), (255, 0, 0, 0)).save(folder / "transparent.png")
    Image.new("P", (9, 9), 3).save(folder / "palette.gif")
    Image.new("CMYK", (9, 9), (0, 0, 0, 0)).save(folder / "print.jpg")
    Image.new("1", (9, 9), 1).save(folder / "bits.png")
    Image.fromarray(np.full((9, 9), 128 * 256, dtype=np.uint16)).save(folder / "deep.png")
    data = image_folder(tmp_path, image_size=8, validation_share=0.0)
    odd = torch.cat([part.images[part.labels == data.classes.index("odd")] for part in (data.train, data.validation)])
    assert len(odd) == 7
    centres = sorted(tuple(image[:, 4, 4].tolist()) for image in odd)
    assert centres.count((128, 128, 128)) == 3
    # Transparent becomes white, and so are the print and the bits
    assert centres.count((255, 255, 255)) == 3


def test_unreadable_files_are_skipped_counted_and_named(tmp_path, capsys):
    fill(tmp_path, n=5, suffix="jpg")
    broken = tmp_path / "red" / "broken.jpg"
    broken.write_bytes(b"no picture")
    whole = (tmp_path / "red" / "0.jpg").read_bytes()
    (tmp_path / "red" / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "red" / "notes.txt").write_text("not meant to be one")
    data = image_folder(tmp_path, image_size=8)
    assert len(data.train) + len(data.validation) == 10
    assert set(colours_of(data.train).values()) == {0, 1}
    output = capsys.readouterr().out
    assert "Skipped 2 of 12 files" in output and "red/broken.jpg" in output and "red/torn.jpg" in output


def test_a_long_list_of_unreadable_files_is_cut(tmp_path, capsys):
    fill(tmp_path)
    for i in range(25):
        (tmp_path / "red" / f"broken{i:02}.png").write_bytes(b"")
    image_folder(tmp_path, image_size=8)
    assert "Skipped 25 of 33" in (output := capsys.readouterr().out) and "and 5 more" in output


def decoding_is_forbidden(*_):
    raise AssertionError("decoded although the cache is good")


def test_decoded_pictures_are_cached_until_something_changes(tmp_path, monkeypatch):
    folder, cache = fill(tmp_path / "pictures"), tmp_path / "cache"
    first = image_folder(folder, 8, cache=cache)
    with monkeypatch.context() as patch:
        patch.setattr("labml_nn.helpers.image_folder.decode_all", decoding_is_forbidden)
        again = image_folder(folder, 8, cache=cache)
        assert torch.equal(first.train.images, again.train.images)
        assert torch.equal(first.validation.labels, again.validation.labels)
        with pytest.raises(AssertionError):
            image_folder(folder, 16, cache=cache)
    # Another colour, another time: the old tensors must not come back
    for path in (folder / "red").iterdir():
        write(path, (9, 9, 9))
        os.utime(path, ns=(1, 1))
    assert (9, 9, 9) in colours_of(image_folder(folder, 8, cache=cache).train)


def test_a_damaged_cache_is_made_anew(tmp_path):
    folder, cache = fill(tmp_path / "pictures"), tmp_path / "cache"
    first = image_folder(folder, 8, cache=cache)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(image_folder(folder, 8, cache=cache).train.images, first.train.images)
    assert [path.name for path in cache.iterdir()] == [file.name]


def test_a_cache_is_data_and_never_code(tmp_path):
    folder, cache = fill(tmp_path / "pictures"), tmp_path / "cache"
    image_folder(folder, 8, cache=cache)
    (file,) = cache.iterdir()
    torch.save({"images": Path("/"), "readable": print}, file)
    assert len(image_folder(folder, 8, cache=cache).train) == 6


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(tmp_path, capsys):
    folder = fill(tmp_path / "pictures")
    (tmp_path / "file").write_text("in the way")
    assert len(image_folder(folder, 8, cache=tmp_path / "file" / "cache").train) == 6
    assert "not kept" in capsys.readouterr().out


def test_folders_that_are_no_data_set_are_explained(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        image_folder(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds 0 folders with pictures, and two classes or more"):
        image_folder(tmp_path)
    write(tmp_path / "only" / "1.png")
    with pytest.raises(UserError, match="holds 1 folders with pictures"):
        image_folder(tmp_path)
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "broken.png").write_bytes(b"")
    with pytest.raises(UserError, match="no picture to train on could be read for second"):
        image_folder(tmp_path)


def test_a_class_that_is_only_in_validation_is_refused(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test")
    write(tmp_path / "test" / "green" / "1.png")
    with pytest.raises(UserError, match="lacks: green"):
        image_folder(tmp_path)


# CIFAR-10


def pickled(n, first):
    rows = (np.arange(n)[:, None] + first).repeat(3072, 1).astype(np.uint8)
    return pickle.dumps({"labels": [int(i) % 10 for i in range(n)], "data": rows})


@pytest.fixture
def small_cifar10(tmp_path, monkeypatch):
    """CIFAR-10 with a few grey pictures: the files, and torchvision made to expect them."""
    folder = tmp_path / "data" / CIFAR10.base_folder
    folder.mkdir(parents=True)
    contents = {f"data_batch_{i}": pickled(4, 10 * i) for i in range(1, 6)} | {"test_batch": pickled(3, 100)}
    contents["batches.meta"] = pickle.dumps({"label_names": [f"class {i}" for i in range(10)]})
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    sums = {name: hashlib.md5(data).hexdigest() for name, data in contents.items()}
    monkeypatch.setattr(CIFAR10, "train_list", [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    # A port of this machine that nobody listens on
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    return folder


def test_cifar10_comes_as_tensors(small_cifar10):
    data = cifar10(small_cifar10.parent)
    assert data.train.images.shape == (20, 3, 32, 32) and data.validation.images.shape == (3, 3, 32, 32)
    assert data.train.images[:, 0, 0, 0].tolist()[:5] == [10, 11, 12, 13, 20]
    assert data.validation.labels.tolist() == [0, 1, 2] and data.classes[3] == "class 3"


@pytest.fixture
def server(tmp_path):
    """A web server on this machine for what lies in `tmp_path / "web"`; yields its address."""
    (tmp_path / "web").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "web")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_cifar10_is_downloaded_where_it_is_not_there(small_cifar10, tmp_path, server, monkeypatch):
    archive = tmp_path / "web" / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(small_cifar10, CIFAR10.base_folder)
    monkeypatch.setattr(CIFAR10, "url", f"{server}/{CIFAR10.filename}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert len(cifar10(tmp_path / "elsewhere").train) == 20
    # Half unpacked: it is unpacked again
    (tmp_path / "elsewhere" / CIFAR10.base_folder / "data_batch_2").unlink()
    assert len(cifar10(tmp_path / "elsewhere").train) == 20


def test_without_a_network_the_other_data_sets_are_named(small_cifar10, tmp_path):
    with pytest.raises(UserError) as error:
        cifar10(tmp_path / "empty")
    for words in ("is not in", "downloading it", "dataset=shapes", "dataset=image_folder data_path=DIR"):
        assert words in str(error.value)


def test_a_half_downloaded_folder_is_named(small_cifar10):
    (small_cifar10 / "data_batch_3").unlink()
    with pytest.raises(UserError, match=r"lacks data_batch_3, and downloading it .* failed"):
        cifar10(small_cifar10.parent)


def test_a_half_downloaded_archive_is_named(small_cifar10, tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / CIFAR10.filename).write_bytes(b"the first bytes")
    with pytest.raises(UserError, match=r"part/cifar-10-python.tar.gz is damaged, or only a part of it"):
        cifar10(tmp_path / "part")


def test_a_corrupted_file_is_named_and_never_opened(small_cifar10):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(small_cifar10 / "sprung"),)

    (small_cifar10 / "data_batch_3").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match=r"data_batch_3 is damaged .* Delete .* and run again"):
        cifar10(small_cifar10.parent)
    assert not (small_cifar10 / "sprung").exists()


def test_folders_of_the_wrong_layout_are_explained(small_cifar10, tmp_path):
    with pytest.raises(UserError, match=r"Name the one above it: data_path="):
        cifar10(small_cifar10)
    (tmp_path / "c" / "cifar-10-batches-bin").mkdir(parents=True)
    with pytest.raises(UserError, match="binary edition"):
        cifar10(tmp_path / "c")
    fill(tmp_path / "pictures" / "train")
    with pytest.raises(UserError, match="dataset=image_folder"):
        cifar10(tmp_path / "pictures")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"data_path=.*file is a file"):
        cifar10(tmp_path / "file")


COPY = Path(__file__).parent.parent.parent / "shared" / "cifar10" / "cifar10-jpeg.npz"


@pytest.mark.skipif(not COPY.exists(), reason=f"the JPEG copy of CIFAR-10 is not at {COPY}")
def test_real_pictures_of_cifar10(tmp_path):
    """Two hundred training pictures of the JPEG copy, through an image folder."""
    with np.load(COPY) as copy:
        ends, labels, classes = copy["train_ends"], copy["train_labels"], copy["classes"]
        jpeg = copy["train_jpeg"].tobytes()
    for i in range(0, len(ends), len(ends) // 200):
        start, end, label = ends[i - 1] if i else 0, ends[i], labels[i]
        path = tmp_path / str(classes[label]) / f"{i}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(jpeg[start:end])
    data = image_folder(tmp_path)
    assert data.classes == tuple(sorted(map(str, classes)))
    assert len(data.train) + len(data.validation) == 200
    mean, _ = channel_statistics(data.train.images)
    assert torch.all((mean > 90) & (mean < 150))

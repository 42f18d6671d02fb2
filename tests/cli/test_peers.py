"""Classical codecs on the command line."""

from PIL import Image, ImageCms

from tests.cli.conftest import Program


def test_encode_writes_the_native_file(corelic: Program) -> None:
    ran = corelic("encode", "photo.png", "--codec", "avif:speed=9", "-q", "70")
    assert (ran.exit_code, ran.stderr) == (0, "")
    with Image.open("photo.avif") as image:
        assert (image.format, image.size) == ("AVIF", (240, 176))


def test_decode_reads_it_back(corelic: Program) -> None:
    corelic("encode", "photo.png", "--codec", "webp", "-o", "small.webp")
    ran = corelic("decode", "small.webp", "--codec", "webp", "-o", "back.png")
    assert (ran.exit_code, ran.stderr) == (0, "")
    with Image.open("back.png") as image:
        assert image.size == (240, 176)


def test_a_wrong_parameter_ends_the_command(corelic: Program) -> None:
    ran = corelic("encode", "photo.png", "--codec", "avif:speed=99")
    assert ran.exit_code == 1 and "0 … 10" in ran.stderr


def test_a_profile_is_kept_or_its_loss_is_one_line(corelic: Program, photo: Image.Image) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo.save("p3.jpg", icc_profile=profile)
    ran = corelic("encode", "p3.jpg", "--codec", "avif:speed=9")
    assert (ran.exit_code, ran.stderr) == (0, "")
    with Image.open("p3.avif") as image:
        assert image.info["icc_profile"] == profile
    ran = corelic("encode", "p3.jpg", "--codec", "jpeg2000")
    assert ran.exit_code == 0
    assert ran.stderr == "warning: jpeg2000 as it is used here loses ICC profile\n"
    ran = corelic("encode", "p3.jpg", "--codec", "jpeg2000", "--strip", "-o", "bare.jp2")
    assert (ran.exit_code, ran.stderr) == (0, "")


def test_a_limit_of_pixels_can_be_given(corelic: Program) -> None:
    corelic("encode", "photo.png", "--codec", "webp", "-o", "small.webp")
    limited = "--codec", "webp", "--max-pixels", "42239", "-o"
    for command, source, output in (
        ("decode", "small.webp", "back.png"),
        ("encode", "photo.png", "back.webp"),
    ):
        ran = corelic(command, source, *limited, output)
        assert ran.exit_code == 1 and "raise the limit with max_pixels=42240" in ran.stderr

//! Layers and images that run: Debian's static busybox, and small files.

use std::fs;
use std::io::Write;

use carrack::oci::Platform;
use carrack::registry::in_process::{Image, Layer};

/// A layer with Debian's static busybox and other files, compressed as most registries have it.
pub(crate) fn busybox_layer(files: &[(&str, &str)]) -> Layer {
    let busybox = fs::read("/bin/busybox").unwrap();
    let files = files.iter().map(|(path, text)| (*path, 0o644, text.as_bytes()));
    let all: Vec<_> = std::iter::once(("bin/busybox", 0o755, busybox.as_slice())).chain(files).collect();
    gzip(Layer::tar(&all).unwrap())
}

/// A small layer.
pub(crate) fn layer(files: &[(&str, &str)]) -> Layer {
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, 0o644, text.as_bytes())).collect();
    gzip(Layer::tar(&files).unwrap())
}

fn gzip(layer: Layer) -> Layer {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&layer.content).unwrap();
    let media_type = "application/vnd.oci.image.layer.v1.tar+gzip".to_owned();
    Layer { content: encoder.finish().unwrap().into(), media_type, ..layer }
}

/// An image that runs `command`.
pub(crate) fn image(platform: &str, layers: Vec<Layer>, command: &[&str]) -> Image {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    Image { platform: platform.parse::<Platform>().unwrap(), layers, command }
}

/// An image that prints a text with busybox.
pub(crate) fn speaking(platform: &str, layers: Vec<Layer>, text: &str) -> Image {
    image(platform, layers, &["/bin/busybox", "echo", text])
}

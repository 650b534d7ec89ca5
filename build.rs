//! Compiles the descriptions of containerd's services (`proto/`) for the installer's side.

use std::error::Error;
use std::path::PathBuf;

const FILES: [&str; 8] = [
    "content.proto",
    "cri.proto",
    "diff.proto",
    "images.proto",
    "leases.proto",
    "namespaces.proto",
    "snapshots.proto",
    "version.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=proto");
    if std::env::var_os("CARGO_FEATURE_INSTALLER").is_none() {
        return Ok(());
    }
    let descriptions = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let (client, server) = (out.join("client"), out.join("server"));
    for folder in [&client, &server] {
        std::fs::create_dir_all(folder)?;
    }
    let builder = || tonic_prost_build::configure().bytes(".containerd.services.content.v1").include_file("mod.rs");
    builder().build_server(false).out_dir(&client).compile_fds(descriptions.clone())?;
    // What the tests' stand-in for containerd implements; no binary contains it.
    builder().build_client(false).out_dir(&server).compile_fds(descriptions)?;
    Ok(())
}

//! Media types that Carrack reads or writes, and what they say about content.

/// OCI image manifest.
pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image configuration.
pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Docker's image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker image manifest, version 2 schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Everything that a registry may be asked to return for a reference.
pub const MANIFESTS: [&str; 4] = [IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST];

/// A Carrack bundle: the artifact type of `index.json`.
pub const BUNDLE: &str = "application/vnd.carrack.bundle.v1+json";
/// The cluster profile in a bundle: an artifact manifest whose config is the resolved profile.
pub const PROFILE: &str = "application/vnd.carrack.profile.v1+json";
/// A file for the host, with its path and mode in annotations.
pub const HOST_FILE: &str = "application/vnd.carrack.host-file.v1";
/// A file of Kubernetes manifests.
pub const KUBERNETES_MANIFEST: &str = "application/vnd.carrack.kubernetes-manifest.v1+yaml";

/// A pack in a registry: the artifact type of its manifest.
pub const PACK: &str = "application/vnd.carrack.pack.v1+json";
/// A file of a pack, whose path is its title.
pub const PACK_FILE: &str = "application/vnd.carrack.pack.file.v1";
/// The configuration of artifacts that have none: `{}` (image-spec, "Guidance for an Empty Descriptor").
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The configuration of a Helm chart in a registry.
pub const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// A Helm chart's package.
pub const HELM_CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// The values of a chart in a bundle.
pub const CHART_VALUES: &str = "application/vnd.carrack.chart.values.v1+yaml";
/// What a bundle adds to the configuration of a Kubernetes distribution.
pub const CONFIG: &str = "application/vnd.carrack.config.v1+yaml";

/// Whether the type names a manifest list or image index.
pub fn is_index(media_type: &str) -> bool {
    media_type == IMAGE_INDEX || media_type == DOCKER_MANIFEST_LIST
}

/// Whether the type names an image manifest.
pub fn is_manifest(media_type: &str) -> bool {
    media_type == IMAGE_MANIFEST || media_type == DOCKER_MANIFEST
}

/// Whether the type names a container image's configuration; an artifact's is of another.
pub fn is_image_config(media_type: &str) -> bool {
    media_type == IMAGE_CONFIG || media_type == DOCKER_CONFIG
}

/// Whether content of this type is compressed already, so that compressing it again costs time and saves nothing.
pub fn is_compressed(media_type: &str) -> bool {
    ["+gzip", ".gzip", "+zstd", ".zstd"].iter().any(|suffix| media_type.ends_with(suffix))
}

/// How many first bytes of content [`begins_compressed`] looks at.
pub const MAGIC_BYTES: usize = 6;

/// Whether content that begins like this is in a format that compressing again does not make smaller: gzip, zstd, xz,
/// bzip2, lz4.
pub fn begins_compressed(start: &[u8]) -> bool {
    let magics: [&[u8]; 5] =
        [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], &[0xfd, b'7', b'z', b'X', b'Z'], b"BZh", &[0x04, 0x22, 0x4d, 0x18]];
    magics.iter().any(|magic| start.starts_with(magic))
}
